import { GraphBuilder } from "../../graph/graph-builder.js";
import { Tensor } from "../../graph/onnx/onnx-runtime.js";
import { openHeadSession, takeData, unshared } from "../compiled/head-session.js";
import type { LinearNetwork } from "./linear-objective.js";

/** The passes in ONNX Runtime, in one thread. */
export async function openCompiledNetwork(featureCount: number, classCount: number): Promise<LinearNetwork> {
  const session = await openHeadSession(buildGraph(featureCount, classCount));
  return {
    slopes: async (kernel, bias, { rows, features, targets, rowWeights }) => {
      const outputs = await session.run({
        kernel: new Tensor("float32", kernel, [classCount, featureCount]),
        bias: new Tensor("float32", bias, [classCount]),
        features: new Tensor("float32", unshared(features), [rows, featureCount]),
        targets: new Tensor("float32", targets, [rows, classCount]),
        row_weights: new Tensor("float32", rowWeights, [rows, 1]),
      });
      return {
        logarithms: takeData(outputs["log_probabilities"]),
        kernel: takeData(outputs["kernel_slopes"]),
        bias: takeData(outputs["bias_slopes"]),
      };
    },
    release: async () => {
      await session.release();
    },
  };
}

function buildGraph(featureCount: number, classCount: number): Uint8Array {
  const builder = new GraphBuilder({ graphName: "linear_head_slopes" });
  const kernel = builder.input("kernel", "float32", [classCount, featureCount]);
  const bias = builder.input("bias", "float32", [classCount]);
  const features = builder.input("features", "float32", ["rows", featureCount]);
  const targets = builder.input("targets", "float32", ["rows", classCount]);
  const rowWeights = builder.input("row_weights", "float32", ["rows", 1]);
  const logits = builder.node("Gemm", [features, kernel, bias], { transB: 1 });
  const logarithms = builder.node("LogSoftmax", [logits], { axis: -1 });
  const excess = builder.node("Sub", [builder.node("Exp", [logarithms]), targets]);
  const slopes = builder.node("Mul", [excess, rowWeights]);
  const ofKernel = builder.node("Gemm", [slopes, features], { transA: 1 });
  const ofBias = builder.node("ReduceSum", [slopes, builder.int64s([0])], { keepdims: 0 });
  builder.output("log_probabilities", "float32", ["rows", classCount], logarithms);
  builder.output("kernel_slopes", "float32", [classCount, featureCount], ofKernel);
  builder.output("bias_slopes", "float32", [classCount], ofBias);
  return builder.encode();
}
