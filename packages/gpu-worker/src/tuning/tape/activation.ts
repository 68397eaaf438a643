import { activated, throughActivation } from "./fused-activation.js";
import type { Tape } from "./tape.js";
import type { Value } from "../values/value.js";

/** An activation as nodes: its output y from x, and its slope dy/dx from both. */
interface ActivationNodes {
  readonly forward: (tape: Tape, x: string) => string;
  readonly slope: (tape: Tape, x: string, y: string) => string;
}

const one = (tape: Tape): string => tape.scalar(1);
const add = (tape: Tape, a: string, b: string): string => tape.graph.node("Add", [a, b]);
const subtract = (tape: Tape, a: string, b: string): string => tape.graph.node("Sub", [a, b]);
const node =
  (opType: string) =>
  (tape: Tape, x: string): string =>
    tape.graph.node(opType, [x]);
/** The slope of σ, from its value. */
const logisticSlope = (tape: Tape, y: string): string => tape.times(y, subtract(tape, one(tape), y));

/** By their canonical names; the formulas are those of `emit-activation.ts`, which serving uses. */
const activations: Readonly<Record<string, ActivationNodes>> = {
  sigmoid: { forward: node("Sigmoid"), slope: (tape, _, y) => logisticSlope(tape, y) },
  tanh: {
    forward: node("Tanh"),
    slope: (tape, _, y) => subtract(tape, one(tape), tape.times(y, y)),
  },
  hard_sigmoid: {
    forward: (tape, x) =>
      tape.graph.node("HardSigmoid", [x], { alpha: { float: 0.2 }, beta: { float: 0.5 } }),
    slope: (tape, _, y) => {
      const inside = tape.graph.node("And", [
        tape.graph.node("Greater", [y, tape.scalar(0)]),
        tape.graph.node("Less", [y, one(tape)]),
      ]);
      return tape.times(tape.graph.node("Cast", [inside], { to: 1 }), tape.scalar(0.2));
    },
  },
  swish: {
    forward: (tape, x) => tape.times(x, tape.graph.node("Sigmoid", [x])),
    // σ + y · (1 − σ)
    slope: (tape, x, y) => {
      const logistic = tape.graph.node("Sigmoid", [x]);
      return add(tape, logistic, tape.times(y, subtract(tape, one(tape), logistic)));
    },
  },
  softplus: { forward: node("Softplus"), slope: (tape, x) => tape.graph.node("Sigmoid", [x]) },
  elu: {
    forward: node("Elu"),
    // 1 above zero, and y + 1 below, where y = exp(x) − 1.
    slope: (tape, _, y) => add(tape, tape.graph.node("Min", [y, tape.scalar(0)]), one(tape)),
  },
};

/** Names of the activations that can be tuned through. */
export const tunedActivations: readonly string[] = ["linear", "relu", "relu6", ...Object.keys(activations)];

/** @param name canonical; one of {@link tunedActivations} */
export function activate(tape: Tape, input: Value, name: string): Value {
  if (name === "linear") return input;
  const record: Tape["computed"] = (emit, spread) =>
    tape.isPass(input) ? tape.passed(emit, spread) : tape.computed(emit, spread);
  if (name === "relu" || name === "relu6") {
    const emit = (): Value => tape.mapped([input], ([x = ""]) => activated(tape, name, x));
    const output = record(emit, (gradient) => {
      tape.addGradient(input, throughActivation(tape, name, output, gradient));
    });
    return output;
  }
  const { forward, slope } = activations[name] as ActivationNodes;
  const emit = (): Value => tape.mapped([input], ([x = ""]) => forward(tape, x));
  const output = record(emit, (gradient) => {
    const before = tape.mapped([input, output, gradient], ([x = "", y = "", dy = ""]) =>
      tape.times(dy, slope(tape, x, y)),
    );
    tape.addGradient(input, before);
  });
  return output;
}

/** slope · x below zero, x above. */
export function leakyRelu(tape: Tape, input: Value, slope: number): Value {
  const emit = (): Value => tape.elementwise("LeakyRelu", [input], { alpha: { float: slope } });
  return tape.computed(emit, (gradient) => {
    const before = tape.mapped([input, gradient], ([x = "", dy = ""]) =>
      tape.graph.node("Where", [
        tape.graph.node("Greater", [x, tape.scalar(0)]),
        dy,
        tape.times(dy, tape.scalar(slope)),
      ]),
    );
    tape.addGradient(input, before);
  });
}
