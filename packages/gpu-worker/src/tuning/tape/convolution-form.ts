import type { FusedActivation } from "./fused-activation.js";
import type { Value } from "../values/value.js";

/** One way to compute a convolution and its gradients. */
export interface ConvolutionForm {
  forward(input: Value, bias: string | undefined, activation: FusedActivation | undefined): Value;
  /** float32, the kernel's own shape. */
  kernelGradient(input: Value, gradient: Value): string;
  inputGradient(gradient: Value): Value;
}
