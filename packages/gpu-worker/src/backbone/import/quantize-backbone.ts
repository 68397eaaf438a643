import {
  backboneId,
  TrommelError,
  type BackboneSpec,
  type Normalization,
  type ObjectStore,
} from "@trommel/common";
import { InferenceSession, Tensor } from "../../graph/onnx/onnx-runtime.js";
import { GraphBuilder } from "../../graph/graph-builder.js";
import { commonOpset, inlineModel } from "../../graph/onnx/inline-model.js";
import { decodeModel, encodeModel } from "../../graph/onnx/onnx-model.js";
import { copyMessage } from "../../graph/onnx/onnx-names.js";
import type { ModelProto } from "../../graph/onnx/onnx-proto.js";
import { planQuantization, type QuantizationPlan } from "../../graph/quantization-plan.js";
import { quantize, type ObservedValue } from "../../graph/quantize.js";
import { identityInput } from "../../graph/sampling.js";
import { relativeDifference } from "./checked-model.js";
import { storeBackbone } from "./store-backbone.js";

export interface QuantizeBackboneOptions {
  readonly store: ObjectStore;
  /** Spec of the stored backbone. */
  readonly spec: BackboneSpec;
  /** Its `model.onnx`. */
  readonly model: Uint8Array;
  /** Name of the copy. */
  readonly name: string;
  /** Base images, each [inputSize, inputSize, 3] RGB: at least one. */
  readonly images: readonly Uint8Array[];
  readonly log: (line: string) => void;
}

/**
 * Stores an int8 copy of a backbone. Its ranges are measured on the images, so the same images give the same copy, and
 * training and serving with it compute the same.
 * @returns its spec, whose `parity` is the difference from the original on the same images
 * @throws TrommelError `unsupported` for a network without convolutions to quantise
 */
export async function quantizeBackbone(options: QuantizeBackboneOptions): Promise<BackboneSpec> {
  const { spec, images, log } = options;
  const id = backboneId(spec);
  const original = decodeModel(options.model, { name: `the backbone ${id}` });
  const { convolutions } = planQuantization(original);
  if (convolutions.size === 0) {
    throw new TrommelError(
      "unsupported",
      `cannot quantise ${id}: it has no convolution with constant weights after its first one. Only convolutional networks can be quantised; use it unquantised`,
      { context: { backbone: id } },
    );
  }
  const { observed, embeddings } = await observe(original, spec, images);
  const quantized = quantize(original, observed);
  log(`quantised ${convolutions.size} convolutions by their ranges on ${images.length} images`);
  const after = await observe(quantized, spec, images, false);
  const difference = relativeDifference(after.embeddings, embeddings);
  const similarity = meanCosine(after.embeddings, embeddings, spec.dimension);
  log(
    `embeddings differ from ${id} by at most ${difference.toFixed(3)} relative; mean cosine ${similarity.toFixed(5)}`,
  );
  const { normalization, channelOrder, source } = spec;
  const { dimension, inputSize, opset, parameterCount } = spec;
  const made = await storeBackbone(
    options.store,
    {
      ...{ dimension, inputSize, opset, parameterCount, output: source.output, pooling: source.pooling },
      model: encodeModel(quantized),
      layers: undefined,
      parity: { reference: id, inputs: images.length, maxRelativeDifference: difference },
    },
    {
      ...{ name: options.name, normalization, channelOrder },
      source: { kind: "int8", url: id, sha256: spec.modelSha256 },
    },
  );
  log(`stored ${backboneId(made)} in ${options.store.url}`);
  return made;
}

interface Observation {
  readonly observed: Map<string, ObservedValue>;
  /** [images, dimension] */
  readonly embeddings: Float32Array;
}

/** Runs the network on each image. @param ranges whether to measure the values of the plan, too */
async function observe(
  model: ModelProto,
  spec: BackboneSpec,
  images: readonly Uint8Array[],
  ranges = true,
): Promise<Observation> {
  const plan = ranges
    ? planQuantization(model)
    : { values: new Set<string>(), convolutionInputs: new Set<string>() };
  const session = await InferenceSession.create(observingGraph(model, spec, plan), {
    executionProviders: ["cpu"],
    logSeverityLevel: 3,
  });
  const observed = new Map<string, ObservedValue>();
  const embeddings = new Float32Array(images.length * spec.dimension);
  try {
    for (const [at, pixels] of images.entries()) {
      const { inputSize: side } = spec;
      const results = await session.run({ pixels: new Tensor("uint8", pixels, [1, side, side, 3]) });
      const numbers = (name: string): Float32Array => results[name]?.data as Float32Array;
      embeddings.set(numbers("embedding"), at * spec.dimension);
      for (const name of plan.values) {
        const means = plan.convolutionInputs.has(name) ? numbers(`${name}/means`) : null;
        const [least = NaN] = numbers(`${name}/least`);
        const [most = NaN] = numbers(`${name}/most`);
        observed.set(name, widened(observed.get(name), { least, most, means }, images.length));
      }
    }
  } finally {
    await session.release();
  }
  return { observed, embeddings };
}

function widened(
  before: ObservedValue | undefined,
  seen: { readonly least: number; readonly most: number; readonly means: Float32Array | null },
  imageCount: number,
): ObservedValue {
  const share = seen.means === null ? null : Float64Array.from(seen.means, (mean) => mean / imageCount);
  return {
    least: Math.min(before?.least ?? Infinity, seen.least),
    most: Math.max(before?.most ?? -Infinity, seen.most),
    channelMeans: share?.map((mean, channel) => mean + (before?.channelMeans?.[channel] ?? 0)) ?? null,
  };
}

/** `pixels` uint8 [1, side, side, 3] to `embedding` and, for each value, `…/least`, `…/most` and `…/means`. */
function observingGraph(
  model: ModelProto,
  spec: Pick<BackboneSpec, "inputSize" | "channelOrder"> & { readonly normalization: Normalization },
  { values, convolutionInputs }: Pick<QuantizationPlan, "values" | "convolutionInputs">,
): Uint8Array {
  const side = spec.inputSize;
  const builder = new GraphBuilder({ opset: commonOpset([model]), graphName: "trommel_observation" });
  const pixels = builder.input("pixels", "uint8", ["n", side, side, 3]);
  const exposed = copyMessage(model, {
    graph: copyMessage(model.graph ?? {}, {
      output: [...(model.graph?.output ?? []), ...[...values].map((name) => ({ name }))],
    }),
  });
  const made = inlineModel(builder, exposed, {
    prefix: "backbone/",
    inputs: { image: identityInput(builder, pixels, side, spec) },
  });
  builder.output("embedding", "float32", undefined, made["embedding"] ?? "");
  for (const name of values) {
    const value = made[name] ?? "";
    const all = { keepdims: 0 };
    builder.output(`${name}/least`, "float32", [], builder.node("ReduceMin", [value], all));
    builder.output(`${name}/most`, "float32", [], builder.node("ReduceMax", [value], all));
    if (!convolutionInputs.has(name)) continue;
    const pooled = builder.node("GlobalAveragePool", [value]);
    builder.output(`${name}/means`, "float32", undefined, pooled);
  }
  return builder.encode();
}

function meanCosine(actual: Float32Array, expected: Float32Array, dimension: number): number {
  const rows = expected.length / dimension;
  let sum = 0;
  for (let row = 0; row < rows; row += 1) {
    let [product, one, other] = [0, 0, 0];
    for (let i = row * dimension; i < (row + 1) * dimension; i += 1) {
      product += actual[i]! * expected[i]!;
      one += actual[i]! ** 2;
      other += expected[i]! ** 2;
    }
    sum += product / Math.sqrt(one * other);
  }
  return sum / rows;
}
