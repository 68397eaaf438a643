import { type BackboneSpec, type Projection, TrommelError } from "@trommel/common";
import type { Flip } from "@trommel/common/recipe";
import { type BackboneModel, dimensionOf, inlineBackbones } from "./extraction-graph.js";
import { GraphBuilder } from "./graph-builder.js";
import { commonOpset } from "./onnx/inline-model.js";
import { decodeModel } from "./onnx/onnx-model.js";
import { identityInput, inputKey } from "./sampling.js";

/** Adds a head to a graph: from a value float32 [N, featureCount] to the name of its logits, float32 [N, classes]. */
export type EmitHead = (builder: GraphBuilder, inputName: string, featureCount: number) => string;

/** Adds the novelty to a graph: from the images' embeddings, float32 [N, D], to the name of a value float32 [N]. */
export type EmitNovelty = (builder: GraphBuilder, embeddings: string) => string;

export interface ServingGraphOptions {
  /** In the recipe's order. */
  readonly backbones: readonly BackboneModel[];
  /** Side of the square base image in pixels. */
  readonly side: number;
  /** Null if the head takes the embeddings unprojected. */
  readonly projection: Projection | null;
  readonly classCount: number;
  readonly emitHead: EmitHead;
  /** Adds the second output. @default none */
  readonly emitNovelty?: EmitNovelty | undefined;
  /** Averages the logits of the image and of these flips of it. @default none */
  readonly flips?: readonly Flip[];
}

/**
 * The bundle's one ONNX model: `pixels` uint8 [N, side, side, 3] RGB → `probabilities` float32 [N, classes], and perhaps `novelty`
 * float32 [N].
 * It uses the identity view, and flips of it where the recipe says so, and equals the extraction graph with the matrices of
 * those views up to rounding.
 */
export function buildServingGraph(options: ServingGraphOptions): Uint8Array {
  const { backbones, side } = options;
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
  const views = 1 + (options.flips?.length ?? 0);
  emitClassifier(builder, embeddings, { ...options, dimension: dimensionOf(backbones), views });
  return builder.encode();
}

/**
 * Adds to a graph what comes after the backbones, and the outputs.
 * @param embeddings float32 [views · N, dimension], the images' first views before their second ones
 */
export function emitClassifier(
  builder: GraphBuilder,
  embeddings: string,
  options: Pick<ServingGraphOptions, "projection" | "classCount" | "emitHead" | "emitNovelty"> & {
    readonly dimension: number;
    readonly views: number;
  },
): void {
  const { projection, dimension, classCount, views: count } = options;
  const features = projection === null ? embeddings : projected(builder, embeddings, dimension, projection);
  const logits = options.emitHead(builder, features, projection?.components ?? dimension);
  const averaged = meanOfViews(builder, logits, { count, classCount });
  const probabilities = builder.node("Softmax", [averaged], { axis: 1 });
  builder.output("probabilities", "float32", ["images", classCount], probabilities);
  if (options.emitNovelty === undefined) return;
  const ofImages = firstView(builder, embeddings, { count, dimension });
  builder.output("novelty", "float32", ["images"], options.emitNovelty(builder, ofImages));
}

/** The images, and behind them their flips, one kind after the other. */
function servedInput(
  builder: GraphBuilder,
  pixels: string,
  spec: BackboneSpec,
  { side, flips = [] }: ServingGraphOptions,
): string {
  const input = identityInput(builder, pixels, side, spec);
  if (flips.length === 0) return input;
  const backwards = builder.int64s(
    Array.from({ length: spec.inputSize }, (_, at) => spec.inputSize - 1 - at),
  );
  const [rows, columns] = [2, 3];
  const flipped = (value: string, axis: number): string =>
    builder.node("Gather", [value, backwards], { axis });
  const views = flips.map((flip) => {
    const leftRight = flip === "vertical" ? input : flipped(input, columns);
    return flip === "horizontal" ? leftRight : flipped(leftRight, rows);
  });
  return builder.node("Concat", [input, ...views], { axis: 0 });
}

/** @param rows [count · N, dimension] @returns the first N */
function firstView(
  builder: GraphBuilder,
  rows: string,
  { count, dimension }: { readonly count: number; readonly dimension: number },
): string {
  if (count === 1) return rows;
  const views = builder.reshape(rows, [count, -1, dimension]);
  const first = builder.node("Gather", [views, builder.int64s([0])], { axis: 0 });
  return builder.reshape(first, [-1, dimension]);
}

/** @param logits [count · N, classes] @returns [N, classes] */
function meanOfViews(
  builder: GraphBuilder,
  logits: string,
  { count, classCount }: { readonly count: number; readonly classCount: number },
): string {
  if (count === 1) return logits;
  const views = builder.reshape(logits, [count, -1, classCount]);
  const sum = builder.node("ReduceSum", [views, builder.int64s([0])], { keepdims: 0 });
  return builder.node("Mul", [sum, builder.constant("share", "float32", [1, 1], Float32Array.of(1 / count))]);
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
