import { type BackboneSpec, type Projection, TrommelError } from "@trommel/common";
import { type BackboneModel, dimensionOf, inlineBackbones } from "./extraction-graph.js";
import { GraphBuilder } from "./graph-builder.js";
import { commonOpset } from "./onnx/inline-model.js";
import { decodeModel } from "./onnx/onnx-model.js";
import { identityInput, inputKey } from "./sampling.js";

/** Adds a head to a graph: from a value float32 [N, featureCount] to the name of its logits, float32 [N, classes]. */
export type EmitHead = (builder: GraphBuilder, inputName: string, featureCount: number) => string;

export interface ServingGraphOptions {
  /** In the recipe's order. */
  readonly backbones: readonly BackboneModel[];
  /** Side of the square base image in pixels. */
  readonly side: number;
  /** Null if the head takes the embeddings unprojected. */
  readonly projection: Projection | null;
  readonly classCount: number;
  readonly emitHead: EmitHead;
  /** Adds the second output: from the images' embeddings, float32 [N, D], to the name of a value float32 [N]. */
  readonly emitNovelty?: (builder: GraphBuilder, embeddings: string) => string;
  /** Averages the logits of the image and of its mirror image. @default false */
  readonly mirrored?: boolean;
}

/**
 * The bundle's one ONNX model: `pixels` uint8 [N, side, side, 3] RGB → `probabilities` float32 [N, classes], and perhaps `novelty`
 * float32 [N].
 * It uses the identity view, and its mirror image where the recipe says so, and equals the extraction graph with the matrices of
 * those views up to rounding.
 */
export function buildServingGraph(options: ServingGraphOptions): Uint8Array {
  const { backbones, side, projection } = options;
  const models = backbones.map(({ spec, model }) => decodeModel(model, { name: spec.name }));
  const builder = new GraphBuilder({ opset: commonOpset(models), graphName: "trommel_serving" });
  const pixels = builder.input("pixels", "uint8", ["images", side, side, 3]);
  const inputs = new Map<string, string>();
  const inputOf = (spec: BackboneSpec): string => {
    const key = inputKey(spec);
    const input = inputs.get(key) ?? servedInput(builder, pixels, spec, options);
    inputs.set(key, input);
    return input;
  };
  const embeddings = inlineBackbones(builder, backbones, models, {
    inputOf,
    viewCount: 1,
    viewsAtOnce: () => 1,
  });
  const dimension = dimensionOf(backbones);
  const features = projection === null ? embeddings : projected(builder, embeddings, dimension, projection);
  const logits = options.emitHead(builder, features, projection?.components ?? dimension);
  const averaged = options.mirrored === true ? meanOfBoth(builder, logits, options.classCount) : logits;
  const probabilities = builder.node("Softmax", [averaged], { axis: 1 });
  builder.output("probabilities", "float32", ["images", options.classCount], probabilities);
  if (options.emitNovelty !== undefined) {
    const ofImages = options.mirrored === true ? firstHalf(builder, embeddings, dimension) : embeddings;
    builder.output("novelty", "float32", ["images"], options.emitNovelty(builder, ofImages));
  }
  return builder.encode();
}

/** The images, and behind them their mirror images if both are averaged. */
function servedInput(
  builder: GraphBuilder,
  pixels: string,
  spec: BackboneSpec,
  { side, mirrored = false }: ServingGraphOptions,
): string {
  const input = identityInput(builder, pixels, side, spec);
  if (!mirrored) return input;
  const columns = Array.from({ length: spec.inputSize }, (_, column) => spec.inputSize - 1 - column);
  const mirror = builder.node("Gather", [input, builder.int64s(columns)], { axis: 3 });
  return builder.node("Concat", [input, mirror], { axis: 0 });
}

/** @param rows [2N, dimension] @returns the first N */
function firstHalf(builder: GraphBuilder, rows: string, dimension: number): string {
  const halves = builder.reshape(rows, [2, -1, dimension]);
  const first = builder.node("Gather", [halves, builder.int64s([0])], { axis: 0 });
  return builder.reshape(first, [-1, dimension]);
}

/** @param logits [2N, classes] @returns [N, classes] */
function meanOfBoth(builder: GraphBuilder, logits: string, classCount: number): string {
  const both = builder.reshape(logits, [2, -1, classCount]);
  const sum = builder.node("ReduceSum", [both, builder.int64s([0])], { keepdims: 0 });
  return builder.node("Mul", [sum, builder.constant("half", "float32", [1, 1], Float32Array.of(0.5))]);
}

/** z = (x - mean) · basis · scale, with the scale folded into the basis. */
function projected(
  builder: GraphBuilder,
  embeddings: string,
  dimension: number,
  projection: Projection,
): string {
  if (projection.dimension !== dimension) {
    throw new TrommelError(
      "invalid-argument",
      `cannot build the serving graph: the projection takes ${projection.dimension}-dimensional embeddings, those of the ` +
        `backbones have ${dimension} dimensions. Use the projection of the same backbones`,
    );
  }
  const mean = builder.constant("projection_mean", "float32", [1, dimension], projection.mean);
  const basis = builder.constant(
    "projection_basis",
    "float32",
    [dimension, projection.components],
    projection.basis.map((value) => value * projection.scale),
  );
  return builder.node("MatMul", [builder.node("Sub", [embeddings, mean]), basis]);
}
