import { GraphBuilder } from "../../graph/graph-builder.js";
import { InferenceSession, Tensor } from "../../graph/onnx/onnx-runtime.js";
import { Tape } from "../tape/tape.js";

let known: Promise<number> | undefined;

/**
 * Channels of a block of the runtime's internal layout on this processor: 8 with AVX2, 16 with AVX-512; 0 where a release or a
 * processor has none. Tried once per process, since the layout is no part of ONNX.
 */
export function blockSize(): Promise<number> {
  known ??= tryBlocks().catch(() => 0);
  return known;
}

async function tryBlocks(): Promise<number> {
  const [channels, pixels] = [64, 9];
  const graph = new GraphBuilder({ graphName: "blocks" });
  const tape = new Tape(graph, { batch: 1, block: 1 });
  const input = graph.input("x", "float32", [1, channels, 3, 3]);
  const blocked = tape.blockedNode("ReorderInput", [input]);
  graph.output("y", "float32", [channels * pixels], graph.reshape(blocked, [-1]));
  const session = await InferenceSession.create(graph.encode(), {
    executionProviders: ["cpu"],
    logSeverityLevel: 4,
  });
  try {
    const values = Float32Array.from({ length: channels * pixels }, (_, index) => index);
    const { y } = await session.run({ x: new Tensor("float32", values, [1, channels, 3, 3]) });
    const block = (y?.data as Float32Array).indexOf(1);
    return channels % block === 0 ? block : 0;
  } finally {
    await session.release();
  }
}
