import { posix } from "node:path";
import { TrommelError, type BackboneSpec, type Normalization } from "@trommel/common";
import type { HubReference } from "@trommel/common/artefacts";
import type { BackboneSource } from "../backbone-source.js";
import { cachedDownload, type CachedDownloadOptions } from "../cached-download.js";
import { jsonText } from "../../layers/json-text.js";
import { HubClient, type HubAccess } from "./hub-client.js";
import { HubRepository } from "./hub-repository.js";
import { readPreprocessor, readTimmConfig, type HubPreprocessing } from "./preprocessor-config.js";

export interface HubModelOptions extends Pick<
  CachedDownloadOptions,
  "cacheFolder" | "log" | "progress" | "timings"
> {
  readonly access: HubAccess;
  /** The ONNX file in the repository. @default the first of the usual ones that is there */
  readonly file?: string;
  /** Given by the caller, which makes the repository's preprocessing dispensable. */
  readonly inputSize?: number;
  readonly normalization?: Normalization;
}

export interface HubModel {
  readonly source: BackboneSource;
  readonly preprocessing: HubPreprocessing | undefined;
  /** What the spec keeps of the repository. */
  readonly about: Pick<BackboneSpec["source"], "licence" | "decode">;
}

/** Exports of transformers.js and optimum; of CLIP and SigLIP the vision tower alone is needed. */
const usualFiles = ["onnx/vision_model.onnx", "onnx/model.onnx", "vision_model.onnx", "model.onnx"];

const configBytesAtMost = 16 * 2 ** 20;

/**
 * The ONNX file of a repository at one commit, and what the repository says of its pictures. The network itself is not read yet.
 * @throws TrommelError `not-found` for a repository without ONNX, `forbidden`, `unsupported` and `corrupt` as its preprocessing is, and
 *   `invalid-argument` if flags must take the place of preprocessing that is missing
 */
export async function openHubModel(reference: HubReference, options: HubModelOptions): Promise<HubModel> {
  const { log } = options;
  // Before the network is asked for anything.
  if (options.file !== undefined) checkPath(reference, options.file);
  const client = new HubClient(options.access, reference);
  const repository = await HubRepository.open(client, reference);
  const { commit, licence } = repository;
  log(`${reference.id}@${reference.revision} is the commit ${commit}, licence ${licence ?? "not stated"}`);
  const path = chooseFile(reference, repository, options.file);
  const read = (file: string, maxBytes: number): Promise<Uint8Array> =>
    repository.read(file, maxBytes, async (url, sha256, bytesAtMost) => {
      log(`${file}: sha256 ${sha256}`);
      const { cacheFolder, progress, timings } = options;
      const download = cachedDownload({
        ...{ url: url.href, sha256, cacheFolder, log, progress, headers: client.headers },
        ...(timings === undefined ? {} : { timings }),
      });
      return download.read(undefined, bytesAtMost).catch((thrown: unknown) => {
        const status = thrown instanceof TrommelError ? thrown.context["status"] : undefined;
        throw status === 401 || status === 403 ? client.refusal(status) : client.namingEndpoint(thrown);
      });
    });
  const isGiven = options.inputSize !== undefined && options.normalization !== undefined;
  const preprocessing = await preprocessingOf(repository, read, isGiven ? log : undefined);
  if (preprocessing === undefined && !isGiven) {
    throw new TrommelError(
      "invalid-argument",
      `cannot pull ${reference.id}: it has no preprocessor_config.json, so that size and normalisation are unknown. Give both with --size and --normalize`,
    );
  }
  const folder = posix.dirname(path);
  const source: BackboneSource = {
    url: `hf:${reference.id}@${commit}/${path}`,
    read: (relative, maxBytes) =>
      read(relative === undefined ? path : posix.join(folder, relative), maxBytes),
  };
  const about = {
    ...(licence === undefined ? {} : { licence }),
    ...(preprocessing === undefined ? {} : { decode: preprocessing.decode }),
  };
  return { source, preprocessing, about };
}

/** @throws TrommelError `invalid-argument` for a file that no repository can have */
function checkPath({ id }: HubReference, file: string): void {
  const parts = file.split("/");
  if (!parts.some((part) => ["", ".", ".."].includes(part)) && !/[\\?#]|\p{Cc}/u.test(file)) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot pull ${id}: --file ${JSON.stringify(file)} is no path in a repository. Name one from the repository's root, such as onnx/model.onnx`,
    { context: { id, file } },
  );
}

function chooseFile({ id }: HubReference, { files }: HubRepository, file: string | undefined): string {
  const models = [...files.keys()].filter((path) => path.endsWith(".onnx"));
  if (file !== undefined) {
    if (files.has(file)) return file;
    throw new TrommelError(
      "not-found",
      `cannot pull ${id}: it has no file ${file}. ${models.length === 0 ? "It has no ONNX file at all" : `Its ONNX files are ${models.join(", ")}`}`,
    );
  }
  const found = usualFiles.find((path) => files.has(path)) ?? (models.length === 1 ? models[0] : undefined);
  if (found !== undefined) return found;
  throw new TrommelError(
    "not-found",
    models.length === 0
      ? `cannot pull ${id}: it has no ONNX file. Export it (optimum-cli export onnx --model ${id} <folder>) and import <folder>/model.onnx, or look for an export such as hf:onnx-community/${id.split("/")[1] ?? ""}`
      : `cannot pull ${id}: it has none of ${usualFiles.join(", ")}. Choose one of ${models.join(", ")} with --file`,
    { context: { id, models } },
  );
}

/**
 * @param excuse gets the fault of a file that does not say what Trommel can use, if flags take its place; without it the fault
 *   is thrown. A file that does not arrive whole is an error either way
 */
async function preprocessingOf(
  { files }: HubRepository,
  read: (path: string, maxBytes: number) => Promise<Uint8Array>,
  excuse: ((line: string) => void) | undefined,
): Promise<HubPreprocessing | undefined> {
  const names = ["preprocessor_config.json", "processor_config.json", "config.json"];
  const path = names.find((name) => files.has(name));
  if (path === undefined) return undefined;
  const bytes = await read(path, configBytesAtMost);
  try {
    const json = parse(bytes, path);
    if (path !== "config.json") return readPreprocessor(json, path);
    const timm =
      typeof json === "object" && json !== null && "pretrained_cfg" in json ? json.pretrained_cfg : undefined;
    return timm === undefined ? undefined : readTimmConfig(timm, path);
  } catch (thrown) {
    if (!(thrown instanceof TrommelError)) throw thrown;
    if (excuse !== undefined) {
      excuse(`${thrown.message}; --size and --normalize take its place`);
      return undefined;
    }
    if (thrown.code !== "corrupt") throw thrown;
    throw new TrommelError(
      "corrupt",
      `${thrown.message}. Give --size and --normalize, which take its place`,
      {
        cause: thrown,
        context: thrown.context,
      },
    );
  }
}

function parse(bytes: Uint8Array, path: string): unknown {
  try {
    return JSON.parse(jsonText(bytes));
  } catch (cause) {
    throw new TrommelError("corrupt", `cannot read the repository's ${path}: it is not JSON`, { cause });
  }
}
