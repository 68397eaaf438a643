import type { Tensor, Tensor2D, Tensor4D } from "@tensorflow/tfjs-core";
import type { BoundLayer } from "../../backbone/layers/bound-layer.js";
import { layerError, textOf } from "../../backbone/layers/layer-config.js";
import { layersToJson } from "../../backbone/layers/layers-to-json.js";
import { loadLayersInTensorflow } from "../../backbone/layers/load-layers-in-tensorflow.js";
import type { Tensorflow, TfLayersModel, TfSymbolicTensor } from "../../graph/tensorflow.js";
import { untrainedPrefix } from "../layers/trained-weights.js";
import { tfjsOperations, type BatchMoments } from "./tfjs-operations.js";
import type { TuningSetting } from "./tuner.js";

/** Limit of images at once in the layers that keep no batch statistics: their outputs are in memory together. */
const imagesAtOnce = 8;

/** Tensors by the name of the layer that they come from. */
type LayerOutputs = ReadonlyMap<string, Tensor>;

export interface TunedEmbedding {
  /** [N, D] */
  readonly embedding: Tensor2D;
  /** What batch normalisations measured, by layer. */
  readonly statistics: ReadonlyMap<string, BatchMoments>;
}

/** A backbone under training in TensorFlow.js. */
export class TfjsNetwork {
  /** D */
  readonly dimension: number;
  readonly #tensorflow: Tensorflow;
  readonly #setting: TuningSetting;
  readonly #model: TfLayersModel;
  /** From the images to what the layers behind the prefix read; null if that is the images alone. */
  readonly #prefix: TfLayersModel | null;
  readonly #read: readonly string[];
  readonly #behind: readonly BoundLayer[];
  readonly #weights: ReadonlyMap<string, Tensor>;

  private constructor(tensorflow: Tensorflow, setting: TuningSetting, model: TfLayersModel) {
    const { cut, trained } = setting;
    this.#tensorflow = tensorflow;
    this.#setting = setting;
    this.#model = model;
    this.dimension = model.outputs[0]?.shape.at(-1) ?? 0;
    const names = new Set(untrainedPrefix(cut.layers, trained).map(({ name }) => name));
    this.#behind = cut.layers.filter(({ name }) => !names.has(name));
    const read = new Set([...this.#behind.flatMap(({ inputs }) => inputs), cut.output]);
    this.#read = [...names].filter((name) => read.has(name) && name !== cut.input.name);
    this.#prefix =
      this.#read.length === 0
        ? null
        : tensorflow.layers.model({
            inputs: model.inputs,
            outputs: this.#read.map((name) => model.getLayer(name).output as TfSymbolicTensor),
          });
    this.#weights = new Map(model.weights.map((weight) => [weight.originalName, weight.read()]));
  }

  /** @throws TrommelError `unsupported` if TensorFlow.js does not have one of the layers */
  static async open(tensorflow: Tensorflow, setting: TuningSetting): Promise<TfjsNetwork> {
    const { inputSize } = setting.contract;
    const files = layersToJson(setting.cut, { inputSize, pooling: "none" });
    return new TfjsNetwork(tensorflow, setting, await loadLayersInTensorflow(tensorflow, files));
  }

  /** What the first layers, which no layer that trains comes before, give for images [N, inputSize, inputSize, 3]. */
  prefix(images: Tensor4D): LayerOutputs {
    const outputs = new Map<string, Tensor>([[this.#setting.cut.input.name, images]]);
    if (this.#prefix === null) return outputs;
    const found = [this.#prefix.predict(images, { batchSize: imagesAtOnce })].flat();
    for (const [index, name] of this.#read.entries()) outputs.set(name, found[index] as Tensor);
    return outputs;
  }

  /**
   * The layers behind the prefix, all of whose operations have gradients.
   * @param weights those that train, by `<layer>/<weight>`
   */
  embed(prefix: LayerOutputs, weights: ReadonlyMap<string, Tensor>): TunedEmbedding {
    const { tf } = this.#tensorflow;
    const { cut, pooling } = this.#setting;
    const outputs = new Map(prefix);
    const statistics = new Map<string, BatchMoments>();
    for (const layer of this.#behind) {
      const inputs = layer.inputs.map((name) => outputs.get(name) as Tensor);
      outputs.set(layer.name, this.#output(layer, inputs, { weights, statistics }));
    }
    const output = outputs.get(cut.output) as Tensor;
    if (output.rank === 2) return { embedding: output as Tensor2D, statistics };
    return { embedding: (pooling === "average" ? tf.mean : tf.max)(output, [1, 2]), statistics };
  }

  dispose(): void {
    // The prefix has no layers of its own.
    this.#model.dispose();
  }

  #output(
    layer: BoundLayer,
    inputs: Tensor[],
    {
      weights,
      statistics,
    }: {
      readonly weights: ReadonlyMap<string, Tensor>;
      readonly statistics: Map<string, BatchMoments>;
    },
  ): Tensor {
    const operation = tfjsOperations[layer.className];
    if (operation === undefined) {
      return this.#model
        .getLayer(layer.name)
        .apply(inputs.length === 1 ? (inputs[0] as Tensor) : inputs) as Tensor;
    }
    const [input, ...others] = inputs;
    if (input === undefined || others.length > 0)
      throw layerError(layer, `it needs one input and has ${inputs.length}`, "corrupt");
    const { norm, trained } = this.#setting;
    const value = operation({
      tf: this.#tensorflow.tf,
      layer,
      input,
      weight: (name) => weights.get(`${layer.name}/${name}`) ?? this.#weights.get(`${layer.name}/${name}`),
      norm: trained.has(layer.name) ? norm : "frozen",
      onMeasured: (moments) => statistics.set(layer.name, moments),
    });
    return this.#activated(layer, value);
  }

  #activated(layer: BoundLayer, value: Tensor): Tensor {
    const name = textOf(layer, "activation", "linear");
    if (name === "linear") return value;
    // TensorFlow.js spells Keras's hard_sigmoid hardSigmoid.
    const activation = name.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase());
    return this.#tensorflow.layers.layers
      .activation({ activation: activation as "relu" })
      .apply(value) as Tensor;
  }
}
