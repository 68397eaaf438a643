import "@trommel/common/without-telemetry";

/** The only place that imports ONNX Runtime: telemetry is switched off before. */
export { env, InferenceSession, listSupportedBackends, Tensor } from "onnxruntime-node";
