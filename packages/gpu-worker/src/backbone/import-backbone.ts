import {
  TrommelError,
  backboneId,
  backboneKeys,
  backboneName,
  backboneSpec,
  canonicalJson,
  parseAs,
  parseJsonAs,
  sha256Hex,
  type BackboneSpec,
  type Normalization,
  type ObjectStore,
} from "@trommel/common";
import { decodeModel } from "../graph/onnx-model.js";
import { elementTypeCodes, int64ToNumber } from "../graph/onnx-proto.js";
import type { BackboneSource } from "./backbone-source.js";
import { checkParity, type Parity } from "./check-parity.js";
import { cutAt } from "./cut-layers.js";
import { layersToJson, type LayersFiles } from "./layers-to-json.js";
import { compileLayers } from "./layers-to-onnx.js";
import { readLayersModel } from "./layers-model.js";
import { wrapEncoder } from "./wrap-encoder.js";

export interface ImportBackboneOptions {
  readonly source: BackboneSource;
  /** What the backbone is called in the store. */
  readonly name: string;
  /** Layer or tensor at which the network is cut. @default the model's only output */
  readonly output?: string;
  /** Side of the square input in pixels. @default the side that the model declares */
  readonly inputSize?: number;
  readonly normalization: Normalization;
  /** @default "rgb" */
  readonly channelOrder?: "rgb" | "bgr";
  /** Used when the output is spatial. @default "average" */
  readonly pooling?: "average" | "max";
  readonly store: ObjectStore;
  /** Told what is done, one line each. @default silence */
  readonly log?: (line: string) => void;
}

const mebibyte = 2 ** 20;
const maxNamedFileBytes = 2 ** 31 - 1;
const maxTopologyBytes = 64 * mebibyte;

/** A backbone in the standard form, before it is stored. */
interface Prepared {
  readonly kind: "layers" | "onnx";
  readonly model: Uint8Array;
  readonly layers: LayersFiles | undefined;
  readonly dimension: number;
  readonly inputSize: number;
  readonly opset: number;
  readonly output: string;
  readonly pooling: "average" | "max" | "none";
  readonly parity: Parity | null;
}

/**
 * Brings a backbone into the store: reads it, compiles or wraps it, checks it, and writes the model first and spec.json last.
 * The id comes from the content, so a repeat finds the backbone there and changes nothing.
 * @returns the spec as it stands in the store
 * @throws TrommelError as the steps do; nothing is in the store under the id unless the import was whole
 */
export async function importBackbone(options: ImportBackboneOptions): Promise<BackboneSpec> {
  const log = options.log ?? (() => undefined);
  parseAs(backboneName, options.name, `the backbone's name "${options.name}"`);
  const { source } = options;
  const named = await source.read(undefined, maxNamedFileBytes);
  log(`read ${source.url} (${named.byteLength} bytes)`);
  const prepared = isJson(named)
    ? await prepareLayers(named, options, log)
    : await prepareEncoder(named, options, log);
  const spec = specOf(prepared, options, sha256Hex(named));
  const standing = await store(options.store, spec, prepared);
  log(`stored ${backboneId(standing)} in ${options.store.url}`);
  return standing;
}

/** JSON begins with a brace; an ONNX file with the tag of one of its first fields. */
function isJson(bytes: Uint8Array): boolean {
  const start = Buffer.from(bytes.subarray(0, 64))
    .toString("utf8")
    .replace(/^\uFEFF/, "")
    .trimStart();
  return start.startsWith("{");
}

async function prepareLayers(
  modelJson: Uint8Array,
  options: ImportBackboneOptions,
  log: (line: string) => void,
): Promise<Prepared> {
  if (modelJson.byteLength > maxTopologyBytes) {
    throw new TrommelError(
      "too-large",
      `failed to read ${options.source.url}: a model.json has at most ${maxTopologyBytes} bytes, and it has ${modelJson.byteLength}.`,
    );
  }
  const model = await readLayersModel(modelJson, (path) => options.source.read(path, maxNamedFileBytes));
  const inputSize = options.inputSize ?? declaredSize(cutAt(model, options.output).input.config);
  const compiled = compileLayers(model, {
    inputSize,
    ...(options.output === undefined ? {} : { output: options.output }),
    ...(options.pooling === undefined ? {} : { pooling: options.pooling }),
  });
  log(
    `compiled ${compiled.cut.layers.length} layers up to ${compiled.cut.output}, ${compiled.dimension} numbers per image`,
  );
  const layers = layersToJson(compiled.cut, { inputSize, pooling: compiled.pooling });
  const parity = await checkParity({
    model: compiled.model,
    layers,
    inputSize,
    normalization: options.normalization,
  });
  log(
    `largest difference from ${parity.reference} on ${parity.inputs} inputs: ${parity.maxRelativeDifference.toExponential(2)} relative`,
  );
  const { dimension, opset, pooling, model: bytes } = compiled;
  return {
    kind: "layers",
    model: bytes,
    layers,
    dimension,
    inputSize,
    opset,
    output: compiled.cut.output,
    pooling,
    parity,
  };
}

function declaredSize(config: Readonly<Record<string, unknown>>): number {
  const shape = config["batch_input_shape"] ?? config["batch_shape"];
  const side: unknown = Array.isArray(shape) ? shape[1] : undefined;
  if (typeof side === "number") return side;
  throw new TrommelError(
    "invalid-argument",
    "failed to import the backbone: its layers model takes pictures of any size. Name one with --size.",
  );
}

async function prepareEncoder(
  bytes: Uint8Array,
  options: ImportBackboneOptions,
  log: (line: string) => void,
): Promise<Prepared> {
  const model = decodeModel(bytes, { name: options.source.url });
  const wrapped = await wrapEncoder(model, {
    ...(options.inputSize === undefined ? {} : { inputSize: options.inputSize }),
    ...(options.output === undefined ? {} : { output: options.output }),
    ...(options.pooling === undefined ? {} : { pooling: options.pooling }),
  });
  log(
    `wrapped the encoder at ${wrapped.output}, ${wrapped.dimension} numbers per image; it has no second implementation to check`,
  );
  return { kind: "onnx", layers: undefined, parity: null, ...wrapped };
}

function specOf(prepared: Prepared, options: ImportBackboneOptions, sourceSha256: string): BackboneSpec {
  const { inputSize, dimension, opset, parity, kind, output, pooling } = prepared;
  const { name, normalization } = options;
  const channelOrder = options.channelOrder ?? "rgb";
  const modelSha256 = sha256Hex(prepared.model);
  const spec = {
    formatVersion: 1,
    name,
    hash: sha256Hex(canonicalJson({ modelSha256, inputSize, normalization, channelOrder })),
    modelSha256,
    dimension,
    inputSize,
    normalization,
    channelOrder,
    opset,
    parameterCount: parameterCount(prepared.model),
    source: { kind, url: options.source.url, sha256: sourceSha256, output, pooling },
    parity,
  };
  return parseAs(backboneSpec, spec, "the new backbone's spec", "internal");
}

/** Floating-point numbers among the initialisers; single numbers are bounds and factors, not parameters. */
function parameterCount(model: Uint8Array): number {
  const floats: readonly (number | undefined)[] = [
    elementTypeCodes.float32,
    elementTypeCodes.float16,
    elementTypeCodes.float64,
  ];
  return (decodeModel(model).graph?.initializer ?? [])
    .filter(({ dataType, dims }) => floats.includes(dataType) && (dims ?? []).length > 0)
    .reduce(
      (sum, { dims }) => sum + (dims ?? []).reduce((size: number, dim) => size * int64ToNumber(dim), 1),
      0,
    );
}

async function store(target: ObjectStore, spec: BackboneSpec, prepared: Prepared): Promise<BackboneSpec> {
  const keys = backboneKeys(backboneId(spec));
  if ((await target.head(keys.spec)) === undefined) {
    await target.put(keys.model, prepared.model);
    if (prepared.layers !== undefined) {
      await target.put(keys.layersModel, prepared.layers.modelJson, { contentType: "application/json" });
      await target.put(keys.layersWeights, prepared.layers.weightsBin);
    }
    const text = new TextEncoder().encode(`${JSON.stringify(spec, undefined, 2)}\n`);
    const result = await target.put(keys.spec, text, { ifAbsent: true, contentType: "application/json" });
    if (result === "written") return spec;
  }
  const standing = parseJsonAs(backboneSpec, await target.get(keys.spec), keys.spec);
  if (standing.hash === spec.hash) return standing;
  throw new TrommelError(
    "conflict",
    `failed to store ${backboneId(spec)}: ${keys.spec} has another hash, ${standing.hash}. Import under another name.`,
  );
}
