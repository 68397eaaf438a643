import type { Pooling } from "@trommel/common";
import type { CutLayers } from "./cut-layers.js";
import type { BoundLayer } from "./bound-layer.js";
import { weightValues } from "./layers-weights.js";

export interface LayersFiles {
  readonly modelJson: Uint8Array;
  /** All weights in float32, in the order of the manifest: the file `weights.bin`. */
  readonly weightsBin: Uint8Array;
}

export interface LayersToJsonOptions {
  readonly inputSize: number;
  readonly pooling: Pooling | "none";
}

/**
 * Writes a cut model as a TensorFlow.js layers model: images [N, inputSize, inputSize, 3] in, embeddings [N, D] out.
 * Leaves out initialisers and regularisers: every weight is given, and the backbone is frozen.
 */
export function layersToJson(cut: CutLayers, options: LayersToJsonOptions): LayersFiles {
  const layers = cut.layers.map((layer) => layerJson(layer, cut, options));
  let output = cut.output;
  if (options.pooling !== "none") {
    const className = options.pooling === "average" ? "GlobalAveragePooling2D" : "GlobalMaxPooling2D";
    const name = freeName("embedding", cut);
    layers.push({ class_name: className, name, config: { name }, inbound_nodes: [[[output, 0, 0, {}]]] });
    output = name;
  }
  const weights = cut.layers.flatMap((layer) =>
    [...layer.weights].map(([key, weight]) => ({ layer, key, weight })),
  );
  const config = {
    name: "backbone",
    layers,
    input_layers: [[cut.input.name, 0, 0]],
    output_layers: [[output, 0, 0]],
  };
  const model = {
    format: "layers-model",
    generatedBy: "trommel",
    modelTopology: { class_name: "Model", config, keras_version: "2.1.6", backend: "tensor_flow.js" },
    weightsManifest: [
      {
        paths: ["weights.bin"],
        weights: weights.map(({ layer, key, weight }) => ({
          name: `${layer.name}/${key}`,
          shape: weight.shape,
          dtype: "float32",
        })),
      },
    ],
  };
  const bytes = weights.map(({ weight }) => {
    const values = weightValues(weight);
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  });
  return { modelJson: Buffer.from(JSON.stringify(model), "utf8"), weightsBin: Buffer.concat(bytes) };
}

interface LayerJson {
  readonly class_name: string;
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly inbound_nodes: readonly unknown[];
}

function layerJson(layer: BoundLayer, cut: CutLayers, { inputSize }: LayersToJsonOptions): LayerJson {
  const { name, className } = layer;
  if (layer === cut.input) {
    const config = {
      name,
      batch_input_shape: [null, inputSize, inputSize, 3],
      dtype: "float32",
      sparse: false,
    };
    return { class_name: className, name, config, inbound_nodes: [] };
  }
  const inbound = layer.inputs.map((input) => [input, 0, 0, {}]);
  return { class_name: className, name, config: { ...plainConfig(layer), name }, inbound_nodes: [inbound] };
}

/** Replaces initialisers by zeros: drawing random numbers that the weights then replace would take longer than loading. */
function plainConfig(layer: BoundLayer): Record<string, unknown> {
  const entries = Object.entries(layer.config).map(([key, value]): [string, unknown] => {
    if (key.endsWith("_initializer")) return [key, { class_name: "Zeros", config: {} }];
    return [key, value];
  });
  const dropped = /_(regularizer|constraint)$|^(batch_input_shape|dtype|ragged)$/;
  return Object.fromEntries(entries.filter(([key]) => !dropped.test(key)));
}

function freeName(stem: string, cut: CutLayers): string {
  const taken = new Set(cut.layers.map(({ name }) => name));
  let name = stem;
  for (let count = 1; taken.has(name); count++) name = `${stem}_${count}`;
  return name;
}
