import { type BackboneSpec, TrommelError } from "@trommel/common";
import { GraphBuilder } from "./graph-builder.js";
import { commonOpset, inlineModel } from "./onnx/inline-model.js";
import { decodeModel } from "./onnx/onnx-model.js";
import type { ModelProto } from "./onnx/onnx-proto.js";
import { ViewSampler } from "./sampling.js";
import { shareTrunks } from "./shared-trunks.js";
import { emitInSlices, sliceOf } from "./slices.js";

/** A backbone with the bytes of its `model.onnx`. */
export interface BackboneModel {
  readonly spec: BackboneSpec;
  readonly model: Uint8Array;
}

export interface ExtractionGraphOptions {
  /** In the recipe's order, which is the order of the embeddings. */
  readonly backbones: readonly BackboneModel[];
  /** Side of the square base image in pixels. */
  readonly side: number;
  /** V, views per image. */
  readonly viewCount: number;
  /** Whether views change colours; if not, the input `colour` exists and is ignored. */
  readonly colour: boolean;
  /**
   * View 0 of every image is the identity, and its matrix in `affine` is not read.
   * @default false
   */
  readonly identityFirst?: boolean;
  /**
   * The networks take the whole batch at once, which suits a GPU, instead of slices that fit a CPU's caches.
   * @default false
   */
  readonly wholeBatch?: boolean;
}

/**
 * One ONNX model from base images and views to embeddings.
 *
 * Inputs: `pixels` uint8 [B, side, side, 3] RGB; `affine` float32 [B·V, 2, 3]; `colour` float32 [B·V, 3, 4]. Row b·V + v
 * belongs to view v of image b. Output: `features` float32 [B·V, D], the embeddings side by side.
 */
export function buildExtractionGraph(options: ExtractionGraphOptions): Uint8Array {
  const { backbones, side, viewCount } = options;
  const models = backbones.map(({ spec, model }) => decodeModel(model, { name: spec.name }));
  const builder = new GraphBuilder({ opset: commonOpset(models), graphName: "trommel_extraction" });
  const pixels = builder.input("pixels", "uint8", ["images", side, side, 3]);
  const affine = builder.input("affine", "float32", ["views", 2, 3]);
  const colour = builder.input("colour", "float32", ["views", 3, 4]);
  const sampler = new ViewSampler(builder, {
    pixels,
    affine,
    colour: options.colour ? colour : null,
    side,
    viewCount,
    identityFirst: options.identityFirst ?? false,
  });
  const features = inlineBackbones(builder, backbones, models, {
    inputOf: (spec) => sampler.viewInput(spec),
    viewsAtOnce: ({ inputSize }) => (options.wholeBatch ? viewCount : sliceOf(viewCount, inputSize)),
    viewCount,
  });
  builder.output("features", "float32", ["views", dimensionOf(backbones)], features);
  return builder.encode();
}

/** Length of the concatenated embeddings. */
export function dimensionOf(backbones: readonly Pick<BackboneModel, "spec">[]): number {
  return backbones.reduce((sum, { spec }) => sum + spec.dimension, 0);
}

/** The values that feed the backbones, and how many rows a network takes at once. */
export interface BackboneInputs {
  /** Value float32 [rows, 3, inputSize, inputSize]. */
  readonly inputOf: (spec: BackboneSpec) => string;
  /** The number of rows is a multiple of this. */
  readonly viewCount: number;
  /** A divisor of `viewCount`; `viewCount` itself keeps all rows of a batch together. */
  readonly viewsAtOnce: (spec: BackboneSpec) => number;
}

/** @returns the value of the embeddings side by side, float32 [rows, D] */
export function inlineBackbones(
  builder: GraphBuilder,
  backbones: readonly BackboneModel[],
  models: readonly ModelProto[],
  { inputOf, viewCount, viewsAtOnce }: BackboneInputs,
): string {
  const networks = shareTrunks(backbones.map(({ spec }, index) => ({ spec, model: models[index]! })));
  const embeddings = networks.map(({ spec, model }, index) => {
    const prefix = `backbone_${index}/`;
    const emit = (into: GraphBuilder, image: string): string =>
      inlineBackbone(into, spec, model, { prefix, image });
    const rows = inputOf(spec);
    const slice = viewsAtOnce(spec);
    if (slice === viewCount) return emit(builder, rows);
    return emitInSlices(builder, { prefix, rows, slice, spec, emit });
  });
  return embeddings.length === 1 ? embeddings[0]! : builder.node("Concat", embeddings, { axis: 1 });
}

function inlineBackbone(
  builder: GraphBuilder,
  spec: BackboneSpec,
  model: ModelProto,
  { prefix, image }: { readonly prefix: string; readonly image: string },
): string {
  const outputs = inlineModel(builder, model, { prefix, inputs: { image } });
  const embedding = outputs["embedding"];
  if (embedding !== undefined) return embedding;
  throw new TrommelError(
    "corrupt",
    `cannot use the backbone ${spec.name}: its model.onnx has the outputs ${Object.keys(outputs).join(", ")}, ` +
      "not `embedding`. Import the backbone again",
  );
}
