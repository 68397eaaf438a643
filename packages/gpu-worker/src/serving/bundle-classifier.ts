import { availableParallelism } from "node:os";
import { sha256Hex } from "@trommel/common/codec";
import { TrommelError } from "@trommel/common/errors";
import { parseJsonAs } from "@trommel/common/parse";
import {
  acceptanceOf,
  bundleFiles,
  bundleManifest,
  chooseTopK,
  type Acceptance,
} from "@trommel/common/artefacts";
import type { BundleManifest, FailureReason, ObjectStore, Device } from "@trommel/common";
import { openStore, readBounds, resolveLocation } from "@trommel/common/store";
import { createEngine } from "../backbone/engines/create-engine.js";
import type { Classifier } from "../backbone/engines/engine.js";
import { decodeImage } from "../image/decode/decode-image.js";
import { scoreRowOf } from "../stages/scoring/formats/score-rows.js";

/** How a bundle is loaded. */
export interface LoadClassifierOptions {
  /** What runs `model.onnx`. @default "cpu" */
  readonly device?: Device;
  /** Threads within an operator. @default the machine's cores */
  readonly threads?: number;
  /** Gives up loading when it aborts. */
  readonly signal?: AbortSignal;
}

/** How a batch is classified. */
export interface ClassifyOptions {
  /** Labels in `top`. @default 5, or all where the model has fewer */
  readonly topK?: number | undefined;
  /** Labels images `unknown` that are more novel than this share of the training images, such as 0.99. @default none */
  readonly unknownAbove?: number | undefined;
  /**
   * Labels images `unknown` whose largest probability is below this, or with `thresholds` below what the model has for the class.
   * @default none
   */
  readonly minProbability?: number | "thresholds" | undefined;
  /** Gives up before the next image when it aborts. */
  readonly signal?: AbortSignal;
}

/** The answer for an image that could be read. */
export interface ClassifiedImage {
  /** The likeliest label; `unknown` if the image is not accepted. */
  readonly label: string;
  /** The largest probability, 0 to 1, with seven digits. */
  readonly probability: number;
  /** The likeliest labels by falling probability, the earlier of the model's labels first on a tie. */
  readonly top: readonly { readonly label: string; readonly probability: number }[];
  /** The share of the training images that are less novel, 0 to 1; absent if the model does not tell. */
  readonly novelty?: number | undefined;
  readonly error?: never;
}

/** The answer for bytes that are no readable image: the others of the batch are classified nevertheless. */
export interface UnreadableImage {
  readonly error: {
    /** One of the reasons of a ledger, such as `truncated` or `not-an-image`. */
    readonly reason: FailureReason;
    /** What the decoder found, for people. */
    readonly message: string;
  };
  readonly label?: never;
  readonly probability?: never;
  readonly top?: never;
  readonly novelty?: never;
}

/** What {@link BundleClassifier.classify} says of one image: `"error" in answer` distinguishes the two. */
export type Classification = ClassifiedImage | UnreadableImage;

/**
 * A bundle in memory, ready to classify. Calls may overlap; an answer does not depend on the other images of its call.
 * With `await using` it is closed at the end of its block.
 */
export interface BundleClassifier extends AsyncDisposable {
  /** The model's labels, in the order of its output. */
  readonly labels: readonly string[];
  /** `bundle.json`. */
  readonly manifest: BundleManifest;
  /**
   * @param images whole files: JPEG, PNG, WebP and what else a scoring reads
   * @returns one answer for each image, in their order
   * @throws TrommelError `unsupported` for what the model cannot tell; `invalid-argument` for a `topK` above the number of labels and for what is no list of bytes; `cancelled`, or the signal's reason
   *   where that is a TrommelError, once `signal` is aborted; `conflict` after {@link close}
   */
  classify(images: readonly Uint8Array[], options?: ClassifyOptions): Promise<Classification[]>;
  /** The answer for a single file, as {@link classify} gives it. */
  classifyOne(bytes: Uint8Array, options?: ClassifyOptions): Promise<Classification>;
  /** Frees the model. Calls under way end first. */
  close(): Promise<void>;
}

/**
 * Loads a bundle.
 * @param bundle its folder: a path, `file:` or `s3://bucket/prefix`
 * @throws TrommelError `not-found` where no bundle is there, `corrupt` where `model.onnx` is not the one of `bundle.json`,
 *   `device-unavailable`
 */
export async function loadClassifier(
  bundle: string,
  options: LoadClassifierOptions = {},
): Promise<BundleClassifier> {
  const { device = "cpu", threads = availableParallelism(), signal } = options;
  const store = openStore(resolveLocation(bundle));
  try {
    const manifest = await readManifest(store, signal);
    const model = await readModel(store, manifest, signal);
    const engine = await createEngine({ engine: "onnx", device, threads });
    const { side } = manifest.input;
    const network = await engine.createClassifier({
      side,
      classCount: manifest.labels.length,
      model,
      parts: null,
    });
    return new LoadedBundle(manifest, network, store.url);
  } finally {
    store.close();
  }
}

class LoadedBundle implements BundleClassifier {
  readonly manifest: BundleManifest;
  readonly #network: Classifier;
  readonly #location: string;
  readonly #underWay = new Set<Promise<unknown>>();
  #closed: Promise<void> | undefined;

  constructor(manifest: BundleManifest, network: Classifier, location: string) {
    this.manifest = manifest;
    this.#location = location;
    this.#network = network;
  }

  get labels(): readonly string[] {
    return this.manifest.labels;
  }

  async classify(images: readonly Uint8Array[], options: ClassifyOptions = {}): Promise<Classification[]> {
    const given: unknown = images;
    if (!Array.isArray(given)) {
      throw new TrommelError(
        "invalid-argument",
        "cannot classify: the images are not a list. Give classify([bytes]), or classifyOne(bytes) for one",
      );
    }
    for (const bytes of images) checkBytes(bytes);
    const answers: Classification[] = [];
    for (const bytes of images) answers.push(await this.classifyOne(bytes, options));
    return answers;
  }

  async classifyOne(bytes: Uint8Array, options: ClassifyOptions = {}): Promise<Classification> {
    const { topK, signal, ...asked } = options;
    if (this.#closed !== undefined)
      throw new TrommelError("conflict", "cannot classify: the classifier is closed. Load the bundle again");
    throwIfAborted(signal);
    checkBytes(bytes);
    const accepts = acceptanceOf(asked, this.manifest, this.#location);
    const work = this.#answer(bytes, { topK: chooseTopK(topK, this.labels.length), accepts });
    this.#underWay.add(work);
    try {
      return await work;
    } finally {
      this.#underWay.delete(work);
    }
  }

  close(): Promise<void> {
    this.#closed ??= Promise.allSettled([...this.#underWay]).then(() => this.#network.release());
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #answer(
    bytes: Uint8Array,
    options: { readonly topK: number; readonly accepts: Acceptance },
  ): Promise<Classification> {
    const { decode, side, decodeVersion } = this.manifest.input;
    const decoded = await decodeImage(bytes, { ...decode, side, decodeVersion });
    if (!decoded.ok) return { error: { reason: decoded.reason, message: decoded.detail } };
    // One by one, as `predict` does: a batch would round otherwise on some devices.
    const { probabilities, novelty } = await this.#network.classify(decoded.pixels, 1);
    const image = { probabilities, novelty: novelty?.[0] ?? null };
    const { key: _, ...answer } = scoreRowOf("", image, this.labels, options);
    return answer;
  }
}

/** A program may give a path. Any view of bytes will do: that of another realm is no instance of this one's Uint8Array. */
function checkBytes(image: unknown): void {
  if (ArrayBuffer.isView(image)) return;
  const what =
    typeof image === "string" ? JSON.stringify(image.slice(0, 80)) : `a value of type ${typeof image}`;
  throw new TrommelError(
    "invalid-argument",
    `cannot classify ${what}: an image is the bytes of its file. Give a Uint8Array, such as readFile returns`,
  );
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  if (signal.reason instanceof TrommelError) throw signal.reason;
  throw new TrommelError("cancelled", "cannot classify: the signal was aborted", { cause: signal.reason });
}

async function readManifest(store: ObjectStore, signal: AbortSignal | undefined): Promise<BundleManifest> {
  const options = { ...readBounds.document, ...(signal === undefined ? {} : { signal }) };
  const name = `${store.url}/${bundleFiles.manifest}`;
  try {
    return parseJsonAs(bundleManifest, await store.get(bundleFiles.manifest, options), name);
  } catch (thrown) {
    if (!(thrown instanceof TrommelError) || thrown.code !== "not-found") throw thrown;
    throw new TrommelError(
      "not-found",
      `cannot load the bundle ${store.url}: it has no ${bundleFiles.manifest}. Give the folder of a finished run's bundle`,
      { cause: thrown, context: { location: store.url } },
    );
  }
}

async function readModel(
  store: ObjectStore,
  manifest: BundleManifest,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const options = { ...readBounds.network, ...(signal === undefined ? {} : { signal }) };
  const model = await store.get(bundleFiles.model, options);
  const found = sha256Hex(model);
  if (found === manifest.hashes[bundleFiles.model]) return model;
  throw new TrommelError(
    "corrupt",
    `cannot load ${store.url}/${bundleFiles.model}: its sha256 is ${found}, which is not bundle.json's. Copy the bundle again`,
  );
}
