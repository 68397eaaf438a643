import type { AxisOrder } from "@trommel/common";
import { GraphBuilder } from "../../graph/graph-builder.js";
import { commonOpset, inlineModel } from "../../graph/onnx/inline-model.js";
import { elementTypeCodes, type ModelProto } from "../../graph/onnx/onnx-proto.js";
import type { Dim } from "../../graph/onnx/onnx-values.js";
import type { ImageInput } from "./image-input.js";
import type { OutputForm } from "./output-form.js";

export interface Wrapped {
  readonly model: ModelProto;
  readonly input: ImageInput;
  readonly order: AxisOrder;
  readonly output: string;
}

/** `image` of any size → the encoder → its own output, unchanged, under the name `embedding`. */
export function emitProbe(wrapped: Wrapped): Uint8Array {
  const { graph, raw } = begin(wrapped, ["N", 3, "H", "W"]);
  graph.output("embedding", "float32", undefined, raw);
  return graph.encode();
}

/** `image` float32 [N, 3, size, size] → the encoder → `embedding` float32 [N, dimension]. */
export function emitEncoder(wrapped: Wrapped, form: OutputForm): Uint8Array {
  const { size } = wrapped.input;
  const { graph, raw } = begin(wrapped, ["N", 3, size, size]);
  graph.output("embedding", "float32", ["N", form.dimension], pooled(graph, raw, form));
  return graph.encode();
}

function begin(
  { model, input, order, output }: Wrapped,
  shape: readonly Dim[],
): { graph: GraphBuilder; raw: string } {
  const graph = new GraphBuilder({ opset: commonOpset([model]), graphName: "backbone" });
  const image = graph.input("image", "float32", shape);
  const turned = order === "nhwc" ? graph.node("Transpose", [image], { perm: [0, 2, 3, 1] }) : image;
  const fed = input.halfPrecision ? graph.node("Cast", [turned], { to: elementTypeCodes.float16 }) : turned;
  const inlined = inlineModel(graph, model, { prefix: "encoder/", inputs: { [input.name]: fed } });
  return { graph, raw: graph.node("Cast", [inlined[output] ?? ""], { to: elementTypeCodes.float32 }) };
}

function pooled(graph: GraphBuilder, raw: string, form: OutputForm): string {
  const toVector = (value: string, dimension: number): string => {
    const shape = graph.constant("embedding_shape", "int64", [2], BigInt64Array.of(0n, BigInt(dimension)));
    return graph.node("Reshape", [value, shape]);
  };
  switch (form.kind) {
    case "vector":
      return form.isFlat ? raw : toVector(raw, form.dimension);
    case "map": {
      const planes = form.order === "nhwc" ? graph.node("Transpose", [raw], { perm: [0, 3, 1, 2] }) : raw;
      const kind = form.pooling === "max" ? "GlobalMaxPool" : "GlobalAveragePool";
      return toVector(graph.node(kind, [planes]), form.dimension);
    }
    case "tokens": {
      const tokens = form.order === "nchw" ? graph.node("Transpose", [raw], { perm: [0, 2, 1] }) : raw;
      const first = (): string => graph.node("Gather", [tokens, scalarIndex(graph)], { axis: 1 });
      const mean = (): string => patchMean(graph, tokens, form.prefix);
      if (form.pooling === "cls") return first();
      if (form.pooling === "mean") return mean();
      return graph.node("Concat", [first(), mean()], { axis: 1 });
    }
  }
}

function scalarIndex(graph: GraphBuilder): string {
  return graph.constant("class_token", "int64", [], BigInt64Array.of(0n));
}

/** The mean of the tokens from `prefix` on, [N, T, D] → [N, D]. */
function patchMean(graph: GraphBuilder, tokens: string, prefix: number): string {
  const end = graph.constant("end", "int64", [1], BigInt64Array.of(2n ** 31n - 1n));
  const patches =
    prefix === 0 ? tokens : graph.node("Slice", [tokens, graph.int64s([prefix]), end, graph.int64s([1])]);
  const rows = graph.node("Transpose", [patches], { perm: [0, 2, 1] });
  return graph.node("Squeeze", [graph.node("GlobalAveragePool", [rows]), graph.int64s([2])]);
}
