import {
  backboneId,
  listBackbones,
  resolveBackbone,
  resolveLocation,
  TrommelError,
  type BackboneSpec,
  type CatalogueEntry,
  type WorkerCommands,
} from "@trommel/common";
import { hubSpelling, isHubReference, publicHub } from "@trommel/common/artefacts";
import { removeBackbone, type StoredBackbone } from "@trommel/coordinator/store-keeping";
import { loadWorkerCommands } from "../worker-package.js";
import { abortable, type CallOptions } from "./abortable.js";
import type { Connections } from "./connections.js";
import {
  encoderChoices,
  hubAccess,
  parseNormalization,
  type BackboneChoices,
  type EncoderChoices,
} from "./backbone-choices.js";
import { pathFrom } from "./options.js";
import { cacheFolder, readCatalogue } from "./weight-catalogue.js";

/** How {@link Backbones.import} brings a network in. */
export interface ImportBackboneOptions extends BackboneChoices, EncoderChoices {
  /** Architecture of the zoo, for a file of Keras weights. */
  readonly architecture?: string | undefined;
  /** What the file must hash to; required for `https://`. */
  readonly sha256?: string | undefined;
}

/** How {@link Backbones.pull} downloads public weights. */
export interface PullBackboneOptions extends BackboneChoices, EncoderChoices {
  /** The ONNX file in the repository of a hub. @default onnx/vision_model.onnx, onnx/model.onnx or model.onnx */
  readonly file?: string | undefined;
  /** A YAML or JSON catalogue. @default the built-in one */
  readonly catalogue?: string | undefined;
  /** Called as the download comes along, for people. */
  readonly onProgress?: ((line: string) => void) | undefined;
}

/** How {@link Backbones.random} makes a network. */
export interface RandomBackboneOptions extends BackboneChoices {
  /** Architecture of the zoo. */
  readonly architecture: string;
  /** Seed of the weights. @default 0 */
  readonly seed?: number | undefined;
}

/** How {@link Backbones.quantize} measures ranges. */
export interface QuantizeBackboneOptions extends CallOptions {
  /** Location of images like those that it will see. */
  readonly pictures: string;
  /** How many of them. @default 64 */
  readonly count?: number | undefined;
  /** Name of the copy. @default the backbone's with `-int8` */
  readonly name?: string | undefined;
  /** Called with each step of the work, for people. */
  readonly onStep?: ((line: string) => void) | undefined;
}

/** A backbone of the store that cannot be read. */
export interface DamagedBackbone {
  readonly id: string;
  readonly error: TrommelError;
}

/** Brings frozen networks into the store, and looks at them. A call that aborts gives up waiting; what is written is whole. */
export class Backbones {
  readonly #connections: Connections;

  /** @internal */
  constructor(connections: Connections) {
    this.#connections = connections;
  }

  /**
   * Imports a Keras-layers `model.json`, an ONNX encoder, or Keras weights (`.h5`, safetensors) for an architecture.
   * @param source a path, `file:`, `s3://` or `https://`
   * @throws TrommelError `invalid-argument` without a name or an architecture, `unsupported`, `corrupt`, `parity-failed`
   */
  async import(source: string, options: ImportBackboneOptions = {}): Promise<BackboneSpec> {
    const { architecture, sha256 } = options;
    const name = options.name ?? architecture;
    if (name === undefined) {
      throw new TrommelError(
        "invalid-argument",
        `cannot import ${source}: the backbone needs a name. Give it one (name, --name), or for a file of weights its architecture (--arch), which is then the name too`,
      );
    }
    const isWeb = /^https?:\/\//i.test(source);
    const given = {
      ...this.#choices(options),
      name,
      source: isWeb ? source : this.#locate(source),
      ...(architecture === undefined ? {} : { architecture }),
      ...encoderChoices(options),
      ...(sha256 === undefined ? {} : { sha256 }),
    };
    return this.#make(options, (worker) => worker.importBackbone(given, say(options.onStep)));
  }

  /**
   * Makes a backbone with random weights, to try a recipe without its own.
   * @throws TrommelError `invalid-argument` for an unknown architecture
   */
  async random(options: RandomBackboneOptions): Promise<BackboneSpec> {
    const { architecture, seed = 0, name = architecture } = options;
    const given = { ...this.#choices(options), name, architecture, seed };
    return this.#make(options, (worker) => worker.randomBackbone(given, say(options.onStep)));
  }

  /**
   * Downloads public weights by their name in the catalogue, or `hf:<organisation>/<name>[@<revision>]` from a hub
   * (`HF_ENDPOINT`, `HF_TOKEN`), verifies and imports them.
   * @throws TrommelError `not-found` for an unknown name, `unavailable`, `corrupt` where the hash differs
   */
  async pull(weights: string, options: PullBackboneOptions = {}): Promise<BackboneSpec> {
    const { env, folder } = this.#connections.options;
    const { name, catalogue, file } = options;
    const isHub = isHubReference(weights);
    if (file !== undefined && !isHub) {
      throw new TrommelError(
        "invalid-argument",
        `cannot pull ${weights} with a file (file, --file): it names a file in a hub's repository. Write ${hubSpelling(weights) ?? "hf:<organisation>/<name>"}`,
      );
    }
    const given = {
      ...this.#choices(options),
      ...encoderChoices(options),
      ...(isHub ? hubAccess(env) : { endpoint: publicHub }),
      ...(file === undefined ? {} : { file }),
      weights,
      cacheFolder: cacheFolder(env),
      ...(name === undefined ? {} : { name }),
      ...(catalogue === undefined ? {} : { catalogue: await readCatalogue(pathFrom(folder, catalogue)) }),
    };
    return this.#make(options, (worker) =>
      worker.pullBackbone(given, say(options.onStep), say(options.onProgress)),
    );
  }

  /** An int8 copy of a convolutional backbone, by ranges measured on images. */
  async quantize(backbone: string, options: QuantizeBackboneOptions): Promise<BackboneSpec> {
    const { pictures, count = 64, name } = options;
    const given = {
      storeUrl: this.#connections.store.url,
      backbone,
      pictures: this.#locate(pictures),
      count,
      ...(name === undefined ? {} : { name }),
    };
    return this.#make(options, (worker) => worker.quantizeBackbone(given, say(options.onStep)));
  }

  /** The public weights that {@link pull} knows: the built-in ones, or those of a YAML or JSON file. */
  async catalogue(file?: string): Promise<readonly CatalogueEntry[]> {
    if (file !== undefined) return readCatalogue(pathFrom(this.#connections.options.folder, file));
    return (await loadWorkerCommands()).listCatalogue();
  }

  /** The store's backbones in order of their ids, and those that cannot be read. */
  async list(
    options: CallOptions = {},
  ): Promise<{ readonly backbones: readonly BackboneSpec[]; readonly damaged: readonly DamagedBackbone[] }> {
    return abortable(options, async () => {
      const damaged: DamagedBackbone[] = [];
      const backbones = await listBackbones(this.#connections.store, (id, error) => {
        damaged.push({ id, error });
      });
      return { backbones, damaged };
    });
  }

  /**
   * One backbone's spec.
   * @param name a name, or `name@hash12`
   * @throws TrommelError `not-found` naming those that exist, `invalid-argument` for an ambiguous name
   */
  async show(name: string, options: CallOptions = {}): Promise<BackboneSpec> {
    return abortable(options, () => resolveBackbone(this.#connections.store, name));
  }

  /**
   * What a backbone takes in the store; with `remove` it is removed.
   * @param reference `name@hash12`
   * @throws TrommelError `not-found`, `invalid-argument` for a plain name, `conflict` naming the runs that use it
   */
  async remove(
    reference: string,
    options: CallOptions & { readonly remove?: boolean | undefined } = {},
  ): Promise<StoredBackbone & { readonly removed: boolean }> {
    const { remove = false } = options;
    return abortable(options, async () => {
      const stored = await removeBackbone(this.#connections.store, reference, remove);
      return { ...stored, removed: remove };
    });
  }

  /** `name@hash12`, by which a recipe names one backbone for good. */
  idOf(spec: BackboneSpec): string {
    return backboneId(spec);
  }

  async #make(
    options: CallOptions & { readonly onStep?: ((line: string) => void) | undefined },
    make: (worker: WorkerCommands) => Promise<BackboneSpec>,
  ): Promise<BackboneSpec> {
    return abortable(options, async () => {
      const spec = await make(await loadWorkerCommands());
      const all = await listBackbones(this.#connections.store, () => undefined);
      const warning = warnOfSameName(spec, all.filter(({ name }) => name === spec.name).map(backboneId));
      if (warning !== undefined) say(options.onStep)(warning);
      return spec;
    });
  }

  #locate(location: string): string {
    return resolveLocation(location, this.#connections.options.folder);
  }

  #choices({ size, normalize, channels, pooling }: BackboneChoices) {
    return {
      storeUrl: this.#connections.store.url,
      ...(size === undefined ? {} : { inputSize: size }),
      ...(normalize === undefined ? {} : { normalization: parseNormalization(normalize) }),
      ...(channels === undefined ? {} : { channelOrder: channels }),
      ...(pooling === undefined ? {} : { pooling }),
    };
  }
}

function warnOfSameName(spec: BackboneSpec, ids: readonly string[]): string | undefined {
  const others = ids.filter((id) => id !== backboneId(spec));
  if (others.length === 0) return undefined;
  return `warning: the name ${spec.name} is ambiguous now, for the store also holds ${others.join(", ")}: name one with its hash, such as --backbone ${backboneId(spec)}, or remove one with 'trommel backbone remove ${others[0]}'`;
}

function say(line: ((line: string) => void) | undefined): (line: string) => void {
  return line ?? (() => undefined);
}
