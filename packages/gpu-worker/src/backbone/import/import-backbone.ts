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
  type AxisOrder,
  type ChannelOrder,
  type OutputPooling,
} from "@trommel/common";
import { kerasPackages, requirePackages, tensorflowPackages } from "../../graph/optional-packages.js";
import { withExternalData, type ExternalFile } from "../../graph/onnx/external-data.js";
import { decodeModel } from "../../graph/onnx/onnx-model.js";
import { refuseContainer, refuseStandIn } from "../containers/name-container.js";
import type { BackboneSource } from "../download/backbone-source.js";
import { softmaxEnd } from "../encoder/softmax-end.js";
import { classifierEnd } from "../layers/classifier-end.js";
import { jsonText } from "../layers/json-text.js";
import { readLayersModel } from "../layers/layers-model.js";
import { prepareZoo, resolveZoo, type ZooChoices } from "./prepare-zoo.js";
import { describeImport } from "./describe-import.js";
import { measureSpread } from "../checks/embedding-spread.js";
import { mapPooling } from "./map-pooling.js";
import { prepareLayers, type PreparedBackbone } from "./prepared-backbone.js";
import { settleNormalization } from "./settle-normalization.js";
import { checkArchitecture, sourceKind, type SourceKind } from "./source-kind.js";
import { storeBackbone } from "./store-backbone.js";
import { encoderConfig, type EncoderConfig } from "../encoder/encoder-config.js";
import { wrapEncoder } from "../encoder/wrap-encoder.js";
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
  /** @default the architecture's; what a network expects that normalises its pixels itself; else Keras's `tf` */
  readonly normalization?: Normalization;
  /** Keeps a normalisation that comes on top of the network's own. @default false */
  readonly forceNormalization?: boolean;
  /** @default the architecture's, else "rgb" */
  readonly channelOrder?: ChannelOrder;
  /** For a map @default "average"; for tokens @default what the config.json in the folder of an ONNX file says */
  readonly pooling?: OutputPooling;
  /** For an ONNX encoder whose graph accepts both orders of axes. */
  readonly inputLayout?: AxisOrder;
  /** For an ONNX encoder whose graph does not show which axis of its output holds the channels. */
  readonly outputLayout?: AxisOrder;
  /** How many tokens come before those of the patches. @default what the graph shows */
  readonly prefixTokens?: number;
  /** What the spec keeps of the repository that the source is from. */
  readonly about?: Pick<BackboneSpec["source"], "licence" | "decode">;
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
  /** Files that the named one names, if they are not part of what is stored under their own names. */
  readonly files?: readonly ExternalFile[];
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
    resolveZoo(zooChoices(options, architecture));
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
  const { prepared, normalization, channelOrder, files = [] } = await importers[kind](named, options, log);
  const origin = {
    ...options.about,
    ...{ kind, url: source.url, sha256: sha256Hex(named) },
    ...(files.length === 0 ? {} : { files: [...files] }),
  };
  const spread = await measureSpread(prepared.model, prepared.inputSize, normalization);
  const spec = await storeBackbone(options.store, prepared, {
    name,
    normalization,
    channelOrder,
    source: architecture === undefined ? origin : { ...origin, architecture },
  });
  log(`stored ${backboneId(spec)} in ${options.store.url}`);
  for (const line of describeImport(prepared, { normalization, channelOrder }, spread)) log(line);
  return spec;
}

const importers: Readonly<
  Record<SourceKind, (named: Uint8Array, options: ImportBackboneOptions, log: Log) => Promise<Imported>>
> = { h5: importWeights, safetensors: importWeights, layers: importLayers, onnx: importEncoder };

async function importWeights(named: Uint8Array, options: ImportBackboneOptions, log: Log): Promise<Imported> {
  const zoo = resolveZoo(zooChoices(options, options.architecture ?? ""));
  const wanted = { architecture: zoo.architecture, weights: zoo.network.weights };
  const weights = await readZooWeights(wanted, named, options.source.url, log);
  return { ...zoo, prepared: await prepareZoo(zoo, weights, log) };
}

function zooChoices(options: ImportBackboneOptions, architecture: string): ZooChoices {
  const { pooling: _pooling, ...rest } = options;
  return { ...rest, ...mapPooling(options.pooling), architecture };
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
  const end = options.output === undefined ? classifierEnd(model) : undefined;
  if (end !== undefined) {
    log(
      end.isSoftmax
        ? `warning: the output ${end.output} is a softmax: the probabilities of its ${end.units} classes are taken as the embedding, which tell images of other classes badly apart. Import it again with --output ${end.before}, the layer before`
        : `warning: the output ${end.output} looks like a classifier's, with ${end.units} classes: an embedding comes from a layer before it. Import it again with --output ${end.before}`,
    );
  }
  let normalization: Normalization = namedNormalizations.tf;
  const prepared = await prepareLayers(model, {
    ...cutOptions(options),
    ...mapPooling(options.pooling),
    normalization: (compiled) => (normalization = settleNormalization(compiled, "image", options, log)),
    log,
  });
  return { prepared, normalization, channelOrder: options.channelOrder ?? "rgb" };
}

async function importEncoder(bytes: Uint8Array, options: ImportBackboneOptions, log: Log): Promise<Imported> {
  const { source, inputLayout, outputLayout, prefixTokens } = options;
  const decoded = decodeModel(bytes, { name: source.url, externalData: true });
  const { model, files } = await withExternalData(decoded, source.url, (path) => {
    log(`reading ${path}, which holds weights`);
    return readBeside(source, path);
  });
  const config = await configBeside(source);
  if (config !== undefined) log(`config.json describes the family ${config.family}`);
  const wrapped = await wrapEncoder(model, {
    ...cutOptions(options),
    ...(options.pooling === undefined ? {} : { pooling: options.pooling }),
    ...(inputLayout === undefined ? {} : { inputLayout }),
    ...(outputLayout === undefined ? {} : { outputLayout }),
    ...(prefixTokens === undefined ? {} : { prefixTokens }),
    ...(config === undefined ? {} : { preferred: config.preferred }),
    ...(config?.usualPooling === undefined ? {} : { usualPooling: config.usualPooling }),
  });
  log(
    `wrapped the encoder, ${wrapped.layout}: ${wrapped.dimension}-dimensional embedding; no second implementation to check it with`,
  );
  const soft = options.output === undefined ? softmaxEnd(model, wrapped.output) : undefined;
  if (soft !== undefined) {
    log(
      `warning: the output ${wrapped.output} is a softmax: probabilities of ${wrapped.dimension} classes are taken as the embedding, which tell images of other classes badly apart. Import it again with --output ${JSON.stringify(soft.before)}, the tensor before the classes`,
    );
  }
  const { encoder, ...prepared } = wrapped;
  const normalization = settleNormalization(encoder.model, encoder.input, options, log);
  return {
    prepared: { layers: undefined, parity: null, ...prepared },
    files,
    normalization,
    channelOrder: options.channelOrder ?? "rgb",
  };
}

/** The config.json in the encoder's folder, or above it where the folder is `onnx`, as model repositories have it. */
async function configBeside(source: BackboneSource): Promise<EncoderConfig | undefined> {
  if (!/^(file|hf):/.test(source.url)) return undefined;
  const paths = /\/onnx\/[^/]+$/.test(source.url) ? ["config.json", "../config.json"] : ["config.json"];
  for (const path of paths) {
    try {
      return encoderConfig(JSON.parse(jsonText(await source.read(path, maxTopologyBytes))));
    } catch (thrown) {
      // A config.json of another program may lie there: it is no part of the model.
      if (
        !(thrown instanceof SyntaxError) &&
        !(thrown instanceof TrommelError && thrown.code === "not-found")
      )
        throw thrown;
    }
  }
  return undefined;
}

/** A file that the named one names. */
async function readBeside(source: BackboneSource, path: string): Promise<Uint8Array> {
  const bytes = await source.read(path, maxNamedFileBytes);
  refuseStandIn(bytes, path, source.url);
  return bytes;
}

function cutOptions({ inputSize, output }: ImportBackboneOptions) {
  return {
    ...(inputSize === undefined ? {} : { inputSize }),
    ...(output === undefined ? {} : { output }),
  };
}
