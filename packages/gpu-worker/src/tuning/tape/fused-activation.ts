import type { AttributeValue } from "../../graph/onnx/onnx-values.js";
import type { Tape } from "./tape.js";
import type { Value } from "../values/value.js";

/** Activations that the runtime's blocked convolutions apply themselves, and whose gradient their output tells. */
export type FusedActivation = "relu" | "relu6";

export function activationAttributes(
  activation: FusedActivation | undefined,
): Readonly<Record<string, AttributeValue>> {
  if (activation === undefined) return {};
  return activation === "relu"
    ? { activation: "Relu" }
    : { activation: "Clip", activation_params: { floats: [0, 6] } };
}

/** The same as a node of plain ONNX. */
export function activated(tape: Tape, activation: FusedActivation | undefined, value: string): string {
  if (activation === undefined) return value;
  return activation === "relu"
    ? tape.graph.node("Relu", [value])
    : tape.graph.node("Clip", [value, tape.scalar(0), tape.scalar(6)]);
}

/** Large enough to make one of every positive number that float32 can hold and a network yields. */
const steep = 1e30;

/**
 * The gradient before an activation, from that after it: kept where the output lies between its bounds. A step made by a
 * HardSigmoid, and a cast of two comparisons, take half the time of Where.
 */
export function throughActivation(
  tape: Tape,
  activation: FusedActivation | undefined,
  output: Value,
  gradient: Value,
): Value {
  if (activation === undefined) return gradient;
  return tape.mapped([output, gradient], ([y = "", dy = ""]) => {
    const { graph } = tape;
    if (activation === "relu") {
      const step = graph.node("HardSigmoid", [y], { alpha: { float: steep }, beta: { float: 0 } });
      return tape.times(step, dy);
    }
    const above = graph.node("Greater", [y, tape.scalar(0)]);
    const below = graph.node("Less", [y, tape.scalar(6)]);
    return tape.times(graph.node("Cast", [graph.node("And", [above, below])], { to: 1 }), dy);
  });
}
