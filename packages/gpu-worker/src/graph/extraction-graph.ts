import { type BackboneSpec, TrommelError } from "@trommel/common";
import { GraphBuilder } from "./graph-builder.js";
import { commonOpset, inlineModel } from "./inline-model.js";
import { decodeModel } from "./onnx-model.js";
import { ViewSampler } from "./sampling.js";

/** A backbone with the bytes of its `model.onnx`. */
export interface BackboneModel {
  readonly spec: BackboneSpec;
  readonly model: Uint8Array;
}

export interface ExtractionGraphOptions {
  /** In the recipe's order, which is the order of the embeddings. */
  readonly backbones: readonly BackboneModel[];
  /** Of the square base image, pixels. */
  readonly side: number;
  /** V, views per image. */
  readonly viewCount: number;
  /** Whether views change colours; without, the input `colour` is there and ignored. */
  readonly colour: boolean;
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
  });
  const features = inlineBackbones(builder, backbones, models, (spec) => sampler.viewInput(spec));
  builder.output("features", "float32", ["views", dimensionOf(backbones)], features);
  return builder.encode();
}

/** Length of the concatenated embeddings. */
export function dimensionOf(backbones: readonly Pick<BackboneModel, "spec">[]): number {
  return backbones.reduce((sum, { spec }) => sum + spec.dimension, 0);
}

/** @returns the value of the embeddings side by side, float32 [rows, D] */
export function inlineBackbones(
  builder: GraphBuilder,
  backbones: readonly BackboneModel[],
  models: readonly ReturnType<typeof decodeModel>[],
  inputOf: (spec: BackboneSpec) => string,
): string {
  const embeddings = backbones.map(({ spec }, index) => {
    const model = models[index]!;
    const outputs = inlineModel(builder, model, {
      prefix: `backbone_${index}/`,
      inputs: { image: inputOf(spec) },
    });
    const embedding = outputs["embedding"];
    if (embedding === undefined) {
      throw new TrommelError(
        "corrupt",
        `failed to use the backbone ${spec.name}: its model.onnx has the outputs ${Object.keys(outputs).join(", ")}, ` +
          "not `embedding`. Import the backbone again.",
      );
    }
    return embedding;
  });
  return embeddings.length === 1 ? embeddings[0]! : builder.node("Concat", embeddings, { axis: 1 });
}
