import { TrommelError } from "@trommel/common";
import type { ServedEmbedding } from "@trommel/common/artefacts";
import { decodeModel, encodeModel } from "./onnx/onnx-model.js";
import { copyMessage } from "./onnx/onnx-names.js";
import { int64ToNumber, type GraphProto, type NodeProto } from "./onnx/onnx-proto.js";
import { valueInfoProto } from "./onnx/onnx-values.js";

const embeddingOutput = "embedding";

/**
 * The names of the first constants after the embeddings, as the serving graph has had them from the first version on. Pixels are
 * normalised by a `mean` too, of another shape.
 */
const firstConstant: Readonly<Record<ServedEmbedding["next"], RegExp>> = {
  projection: /^projection_mean(?:_\d+)?$/,
  standardization: /^mean(?:_\d+)?$/,
  heads: /^head_.+_kernel(?:_\d+)?$/,
};

/** The operator whose result is what the heads take. */
const lastOperator = { projection: "MatMul", standardization: "Mul" } as const;

/**
 * A model, of a bundle or of its heads alone, with the output `embedding`, float32 [views · N, dimension], the images' first views
 * before their second ones. It is a value that the graph has in any case: no file of the bundle changes.
 * @throws TrommelError `unsupported` if the graph has no such value
 */
export function withEmbeddingOutput(model: Uint8Array, served: ServedEmbedding): Uint8Array {
  const decoded = decodeModel(model, { name: "the bundle's model.onnx" });
  const graph = decoded.graph ?? {};
  const value = findValue(graph, served);
  const output = valueInfoProto(embeddingOutput, "float32", ["rows", served.dimension]);
  return encodeModel(
    copyMessage(decoded, {
      graph: copyMessage(graph, {
        node: [
          ...(graph.node ?? []),
          { input: [value], output: [embeddingOutput], name: "embedding_output", opType: "Identity" },
        ],
        output: [...(graph.output ?? []), output],
      }),
    }),
  );
}

function findValue(graph: GraphProto, { vector, next, dimension }: ServedEmbedding): string {
  const nodes = graph.node ?? [];
  const shapes = new Map(
    (graph.initializer ?? []).map(({ name, dims = [] }) => [name, dims.map(int64ToNumber).join()]),
  );
  const isFirst = (constant: string | undefined): boolean =>
    constant !== undefined &&
    firstConstant[next].test(constant) &&
    (next !== "standardization" || shapes.get(constant) === `1,${dimension}`);
  const isTaken = nodes.some(({ output }) => output?.includes(embeddingOutput) === true);
  const first = nodes.find(({ input }) => isFirst(input?.[1]));
  const raw = first?.input?.[0];
  const value =
    vector === "raw" || first === undefined || next === "heads"
      ? raw
      : userOf(nodes, first, lastOperator[next])?.output?.[0];
  if (value !== undefined && !isTaken) return value;
  throw new TrommelError(
    "unsupported",
    "cannot write embeddings: the bundle's model.onnx is not the graph that a training makes, so that nothing says which of its values they are. Score without --embeddings, or with a bundle that a run made",
  );
}

/** The node of that kind that takes what another gives. */
function userOf(nodes: readonly NodeProto[], { output }: NodeProto, opType: string): NodeProto | undefined {
  return nodes.find((node) => node.opType === opType && node.input?.[0] === output?.[0]);
}
