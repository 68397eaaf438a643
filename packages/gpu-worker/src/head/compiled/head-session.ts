import { InferenceSession, type Tensor } from "../../graph/onnx/onnx-runtime.js";

/** A session on the CPU with one thread, so that its bytes do not depend on the number of threads. */
export async function openHeadSession(model: Uint8Array): Promise<InferenceSession> {
  return await InferenceSession.create(model, {
    executionProviders: ["cpu"],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: "sequential",
    enableMemPattern: false,
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
  });
}

/** The values, without keeping a reference in the runtime. */
export function takeData(tensor: InferenceSession.OnnxValueMapType[string] | undefined): Float32Array {
  return (tensor as Tensor).data as Float32Array;
}

/** ONNX Runtime's binding refuses shared memory. */
export function unshared(data: Float32Array): Float32Array {
  return data.buffer instanceof SharedArrayBuffer ? new Float32Array(data) : data;
}
