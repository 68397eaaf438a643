import { affine, perImage, productSumsOf } from "./passes.js";
import type { Tape } from "./tape.js";
import { Value } from "../values/value.js";

/** The sum of values of one shape. */
export function addAll(tape: Tape, inputs: readonly Value[]): Value {
  const [first, ...rest] = inputs as readonly [Value, ...Value[]];
  const emit = (): Value => rest.reduce((sum, input) => tape.sum(sum, input), first);
  return tape.computed(emit, (gradient) => {
    for (const input of inputs) tape.addGradient(input, gradient);
  });
}

/** a · b of one shape. */
export function multiply(tape: Tape, a: Value, b: Value): Value {
  return tape.computed(
    () => tape.elementwise("Mul", [a, b]),
    (gradient) => {
      if (a.isTrained) tape.addGradient(a, tape.elementwise("Mul", [gradient, b]));
      if (b.isTrained) tape.addGradient(b, tape.elementwise("Mul", [gradient, a]));
    },
  );
}

/** A map times one number for each image and channel, [N, C, H, W] · [N, C, 1, 1]: squeeze-and-excitation (Hu et al. 2018). */
export function excite(tape: Tape, map: Value, factors: Value): Value {
  const scale = perImage(tape.graph.reshape(tape.plainOf(factors), [tape.batch, map.channels]));
  const isTrained = map.isTrained || factors.isTrained;
  const emit = (): Value => affine(tape, map, { scale }).asTrained(isTrained);
  return tape.computed(emit, (gradient) => {
    if (map.isTrained) tape.addGradient(map, affine(tape, gradient, { scale }));
    if (!factors.isTrained) return;
    const sums = tape.graph.reshape(productSumsOf(tape, gradient, map), [...factors.shape]);
    tape.addGradient(factors, new Value(factors.shape, true, { plain: sums }));
  });
}

/** Side by side along the channels. */
export function concatenate(tape: Tape, inputs: readonly Value[]): Value {
  const { graph } = tape;
  const [first] = inputs as readonly [Value];
  const channels = inputs.reduce((sum, input) => sum + input.channels, 0);
  const shape = [tape.batch, channels, ...first.shape.slice(2)];
  const isBlocked = inputs.every((input) => tape.canBlock(input)) && inputs.some((input) => input.isBlocked);
  const nameOf = (value: Value): string => (isBlocked ? tape.blockedOf(value) : tape.plainOf(value));
  const form = (name: string) => (isBlocked ? { blocked: name } : { plain: name });
  const output = new Value(
    shape,
    inputs.some((input) => input.isTrained),
    form(graph.node("Concat", inputs.map(nameOf), { axis: 1 })),
  );
  return tape.record(output, (gradient) => {
    const sizes = graph.int64s(inputs.map((input) => input.channels));
    const parts = graph.node("Split", [nameOf(gradient), sizes], { axis: 1 }, inputs.length);
    for (const [at, input] of inputs.entries()) {
      tape.addGradient(input, new Value(input.shape, true, form(parts[at] ?? "")));
    }
  });
}

/** Other dimensions for the same elements in ONNX's order, so that height and width are 1 or keep their places. */
export function reshape(tape: Tape, input: Value, shape: readonly number[]): Value {
  const plain = tape.graph.reshape(tape.plainOf(input), shape);
  return tape.record(new Value(shape, input.isTrained, { plain }), (gradient) => {
    const back = tape.graph.reshape(tape.plainOf(gradient), input.shape);
    tape.addGradient(input, new Value(input.shape, true, { plain: back }));
  });
}

/** Another order of the dimensions. */
export function transpose(tape: Tape, input: Value, perm: readonly number[]): Value {
  const shape = perm.map((axis) => input.shape[axis] ?? 0);
  const plain = tape.transpose(tape.plainOf(input), perm);
  return tape.record(new Value(shape, input.isTrained, { plain }), (gradient) => {
    const inverse = perm.map((_, axis) => perm.indexOf(axis));
    const back = tape.transpose(tape.plainOf(gradient), inverse);
    tape.addGradient(input, new Value(input.shape, true, { plain: back }));
  });
}

/** value · factor. */
export function scaleBy(tape: Tape, input: Value, factor: number): Value {
  const by = (value: Value): Value => tape.mapped([value], ([x = ""]) => tape.times(x, tape.scalar(factor)));
  return tape.computed(
    () => by(input),
    (gradient) => {
      tape.addGradient(input, by(gradient));
    },
  );
}
