import { z } from "zod";
import { TrommelError, messageOf } from "@trommel/common";
import type { BoundLayer } from "./bound-layer.js";
import { canonicalLayers } from "./canonical-layers.js";
import { jsonText } from "./json-text.js";
import { readTopology, type LayerNode, type LayersTopology } from "./layers-topology.js";
import { readWeights, weightsManifest, type LayersWeight, type ReadFile } from "./layers-weights.js";

/** A Keras-layers model with nested models flattened, and layers in types that TensorFlow.js itself has. */
export interface LayersModel {
  readonly layers: ReadonlyMap<string, BoundLayer>;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

const modelFile = z.object({ modelTopology: z.record(z.string(), z.unknown()), weightsManifest });

/**
 * Reads a TensorFlow.js layers model: `model.json` and the weight files that it names, including quantised ones.
 * @param readFile reads a weight file by its path relative to model.json
 * @throws TrommelError `corrupt` for malformed or truncated files, `unsupported` for graph models and Keras 3 topologies
 */
export async function readLayersModel(modelJson: Uint8Array, readFile: ReadFile): Promise<LayersModel> {
  const file = parseModelFile(modelJson);
  const topology = topologyOf(file.modelTopology);
  const weights = await readWeights(file.weightsManifest, readFile);
  const bound = [...topology.nodes.values()].map((node) => bindWeights(node, weights));
  const layers = new Map(bound.flatMap(canonicalLayers).map((layer) => [layer.name, layer]));
  return { layers, inputs: topology.inputs, outputs: topology.outputs };
}

/** The model's configuration is in `model_config`, or is the topology itself. */
function topologyOf(modelTopology: Readonly<Record<string, unknown>>): LayersTopology {
  try {
    return readTopology(modelTopology["model_config"] ?? modelTopology);
  } catch (thrown) {
    // Layers are followed from output to input; no real network has a chain too deep for the call stack.
    if (thrown instanceof RangeError) throw corrupt("its layers are nested too deeply", thrown);
    throw thrown;
  }
}

function parseModelFile(modelJson: Uint8Array): z.infer<typeof modelFile> {
  let json: unknown;
  try {
    json = JSON.parse(jsonText(modelJson));
  } catch (cause) {
    throw corrupt(`model.json is not JSON (${messageOf(cause)})`, cause);
  }
  const topology = (json as { modelTopology?: { node?: unknown } } | null)?.modelTopology;
  if (topology?.node !== undefined) {
    throw new TrommelError(
      "unsupported",
      "cannot read model.json: it is a TensorFlow.js graph model, and only layers models are supported. " +
        "Convert the Keras model with --output_format tfjs_layers_model, or export it to ONNX",
    );
  }
  const parsed = modelFile.safeParse(json);
  if (parsed.success) return parsed.data;
  throw corrupt(`model.json is not a layers model (${z.prettifyError(parsed.error).replaceAll("\n", " ")})`);
}

/** Weights that each layer type must have, with the setting that decides whether an optional one exists. */
const weightNames: Readonly<Record<string, readonly (readonly [name: string, setting?: string])[]>> = {
  Conv2D: [["kernel"], ["bias", "use_bias"]],
  DepthwiseConv2D: [["depthwise_kernel"], ["bias", "use_bias"]],
  SeparableConv2D: [["depthwise_kernel"], ["pointwise_kernel"], ["bias", "use_bias"]],
  Dense: [["kernel"], ["bias", "use_bias"]],
  BatchNormalization: [["gamma", "scale"], ["beta", "center"], ["moving_mean"], ["moving_variance"]],
  PReLU: [["alpha"]],
};

function bindWeights(node: LayerNode, weights: ReadonlyMap<string, LayersWeight>): BoundLayer {
  const found = new Map<string, LayersWeight>();
  for (const [name, setting] of weightNames[node.className] ?? []) {
    if (setting !== undefined && node.config[setting] === false) continue;
    const weight = findWeight(node.weightPaths, name, weights);
    if (weight === undefined)
      throw corrupt(`the manifest lists no weight ${node.weightPaths[0] ?? ""}/${name}`);
    found.set(name, weight);
  }
  if (node.className === "Normalization") {
    for (const name of ["mean", "variance"]) {
      const weight = findWeight(node.weightPaths, name, weights);
      if (weight !== undefined) found.set(name, weight);
    }
  }
  return { ...node, weights: found };
}

/** TensorFlow 2.2 and later may insert a second name between layer and weight, as in `conv1/conv1/kernel`. */
function findWeight(
  paths: readonly string[],
  name: string,
  weights: ReadonlyMap<string, LayersWeight>,
): LayersWeight | undefined {
  for (const path of paths) {
    const exact = weights.get(`${path}/${name}`);
    if (exact !== undefined) return exact;
  }
  const own = paths.at(-1) ?? "";
  const nested = [...weights].filter(
    ([key]) => key.endsWith(`/${name}`) && (key.startsWith(`${own}/`) || key.includes(`/${own}/`)),
  );
  return nested.length === 1 ? nested[0]?.[1] : undefined;
}

function corrupt(why: string, cause?: unknown): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot read the layers model: ${why}. Fetch its files again, all from one conversion`,
    cause === undefined ? {} : { cause },
  );
}
