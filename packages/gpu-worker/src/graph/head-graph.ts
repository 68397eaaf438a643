import type { Projection } from "@trommel/common";
import { GraphBuilder } from "./graph-builder.js";
import { emitClassifier, type EmitHead, type EmitNovelty } from "./serving-graph.js";

/** What a model has between the embeddings and the probabilities. */
export interface HeadGraphOptions {
  /** D, of the backbones' embeddings together. */
  readonly dimension: number;
  /** Null if the head takes the embeddings unprojected. */
  readonly projection: Projection | null;
  readonly classCount: number;
  readonly emitHead: EmitHead;
  /** Adds the second output. @default none */
  readonly emitNovelty?: EmitNovelty | undefined;
  /** Views of an image whose logits are averaged; the first is the image itself. */
  readonly views: number;
}

/** ONNX Runtime has run it for years. */
const opset = 17;

/**
 * The serving graph without its backbones: `embeddings` float32 [views · N, D], the first views of all images before their second ones,
 * → `probabilities` float32 [N, classes], and perhaps `novelty` float32 [N].
 */
export function buildHeadGraph(options: HeadGraphOptions): Uint8Array {
  const { dimension } = options;
  const builder = new GraphBuilder({ opset, graphName: "trommel_heads" });
  const embeddings = builder.input("embeddings", "float32", ["rows", dimension]);
  emitClassifier(builder, embeddings, options);
  return builder.encode();
}
