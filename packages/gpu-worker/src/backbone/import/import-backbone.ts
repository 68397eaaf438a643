import {
  TrommelError,
  backboneId,
  backboneName,
  namedNormalizations,
  parseAs,
  sha256Hex,
  type BackboneSpec,
  type Normalization,
  type ObjectStore,
  type ChannelOrder,
  type Pooling,
} from "@trommel/common";
import { kerasPackages, requirePackages, tensorflowPackages } from "../../graph/optional-packages.js";
import { decodeModel } from "../../graph/onnx/onnx-model.js";
import { refuseContainer, refuseStandIn } from "../containers/name-container.js";
import type { BackboneSource } from "../download/backbone-source.js";
import { classifierEnd } from "../layers/classifier-end.js";
import { readLayersModel } from "../layers/layers-model.js";
import { prepareZoo, resolveZoo } from "./prepare-zoo.js";
import { prepareLayers, type PreparedBackbone } from "./prepared-backbone.js";
import { checkArchitecture, sourceKind, type SourceKind } from "./source-kind.js";
import { storeBackbone } from "./store-backbone.js";
import { wrapEncoder } from "./wrap-encoder.js";
import { readZooWeights } from "../weights/zoo-weights.js";

export interface ImportBackboneOptions {
  readonly source: BackboneSource;
  /** Name of the backbone in the store. */
  readonly name: string;
  /** Architecture of the zoo, for a source that is a file of Keras weights. */
  readonly architecture?: string;
  /** Layer or tensor at which the network is cut. @default the model's only output */
  readonly output?: string;
  /** Side of the square input in pixels. @default the side that the model declares, or the architecture's */
  readonly inputSize?: number;
  /** @default the architecture's, else Keras's `tf` */
  readonly normalization?: Normalization;
  /** @default the architecture's, else "rgb" */
  readonly channelOrder?: ChannelOrder;
  /** Used if the output is spatial. @default "average" */
  readonly pooling?: Pooling;
  readonly store: ObjectStore;
  /** Called with what is done, one line each. @default silence */
  readonly log?: (line: string) => void;
}

const mebibyte = 2 ** 20;
const maxNamedFileBytes = 2 ** 31 - 1;
const maxTopologyBytes = 64 * mebibyte;

type Log = (line: string) => void;

/** A prepared backbone with the pixel settings for its spec. */
interface Imported {
  readonly prepared: PreparedBackbone;
  readonly normalization: Normalization;
  readonly channelOrder: ChannelOrder;
}

/**
 * Imports a backbone: reads it, compiles or wraps it, checks it, and stores it.
 * @returns the stored spec
 * @throws TrommelError as the steps do; spec.json is written last, so an import that failed leaves no backbone in the store
 */
export async function importBackbone(options: ImportBackboneOptions): Promise<BackboneSpec> {
  const log = options.log ?? (() => undefined);
  const { source, architecture, name } = options;
  parseAs(backboneName, name, `the backbone's name "${name}"`);
  // Refuses an architecture that does not exist, or cannot be checked here, before a large file is downloaded.
  if (architecture !== undefined) {
    resolveZoo({ ...options, architecture });
    requirePackages("import Keras weights", tensorflowPackages);
  }
  const named = await source.read(undefined, maxNamedFileBytes);
  log(`read ${source.url} (${named.byteLength} bytes)`);
  refuseContainer(named, source.url);
  const kind = sourceKind(named);
  checkArchitecture(kind, architecture, source.url);
  if (kind !== "onnx") {
    requirePackages("import a Keras model", kind === "h5" ? kerasPackages : tensorflowPackages);
  }
  const { prepared, normalization, channelOrder } = await importers[kind](named, options, log);
  const origin = { kind, url: source.url, sha256: sha256Hex(named) };
  const spec = await storeBackbone(options.store, prepared, {
    name,
    normalization,
    channelOrder,
    source: architecture === undefined ? origin : { ...origin, architecture },
  });
  log(`stored ${backboneId(spec)} in ${options.store.url}`);
  return spec;
}

const importers: Readonly<
  Record<SourceKind, (named: Uint8Array, options: ImportBackboneOptions, log: Log) => Promise<Imported>>
> = { h5: importWeights, safetensors: importWeights, layers: importLayers, onnx: importEncoder };

async function importWeights(named: Uint8Array, options: ImportBackboneOptions, log: Log): Promise<Imported> {
  const zoo = resolveZoo({ ...options, architecture: options.architecture ?? "" });
  const wanted = { architecture: zoo.architecture, weights: zoo.network.weights };
  const weights = await readZooWeights(wanted, named, options.source.url, log);
  return { ...zoo, prepared: await prepareZoo(zoo, weights, log) };
}

async function importLayers(
  modelJson: Uint8Array,
  options: ImportBackboneOptions,
  log: Log,
): Promise<Imported> {
  if (modelJson.byteLength > maxTopologyBytes) {
    throw new TrommelError(
      "too-large",
      `cannot read ${options.source.url}: it has ${modelJson.byteLength} bytes, the limit for a model.json is ${maxTopologyBytes}`,
    );
  }
  const model = await readLayersModel(modelJson, (path) => readBeside(options.source, path));
  const { normalization, channelOrder } = ownPixels(options);
  const end = options.output === undefined ? classifierEnd(model) : undefined;
  if (end !== undefined) {
    log(
      `warning: the output ${end.output} looks like a classifier's, with ${end.units} classes: an embedding comes from a layer before it. Import it again with --output ${end.before}`,
    );
  }
  const prepared = await prepareLayers(model, { ...cutOptions(options), normalization, log });
  return { prepared, normalization, channelOrder };
}

async function importEncoder(bytes: Uint8Array, options: ImportBackboneOptions, log: Log): Promise<Imported> {
  const model = decodeModel(bytes, { name: options.source.url });
  const wrapped = await wrapEncoder(model, cutOptions(options));
  log(
    `wrapped the encoder at ${wrapped.output}: ${wrapped.dimension}-dimensional embedding; no second implementation to check it with`,
  );
  return { prepared: { layers: undefined, parity: null, ...wrapped }, ...ownPixels(options) };
}

/** A file that the named one names. */
async function readBeside(source: BackboneSource, path: string): Promise<Uint8Array> {
  const bytes = await source.read(path, maxNamedFileBytes);
  refuseStandIn(bytes, path, source.url);
  return bytes;
}

/** Pixel settings of a network that comes with its own layers. */
function ownPixels({ normalization, channelOrder }: ImportBackboneOptions): Omit<Imported, "prepared"> {
  return { normalization: normalization ?? namedNormalizations.tf, channelOrder: channelOrder ?? "rgb" };
}

function cutOptions({ inputSize, output, pooling }: ImportBackboneOptions) {
  return {
    ...(inputSize === undefined ? {} : { inputSize }),
    ...(output === undefined ? {} : { output }),
    ...(pooling === undefined ? {} : { pooling }),
  };
}
