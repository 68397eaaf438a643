import "@trommel/common/without-telemetry";

/** The one place that ONNX Runtime is imported in. */
export { env, InferenceSession, listSupportedBackends, Tensor } from "onnxruntime-node";
