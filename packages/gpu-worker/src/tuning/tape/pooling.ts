import { leftOver, nodeAttributes, pixelsOf, type Geometry } from "./geometry.js";
import { spreadOver, sumsOf } from "./passes.js";
import type { Tape } from "./tape.js";
import { Value } from "../values/value.js";

/** [N, C, H, W] to [N, C]. */
export function averageGlobally(tape: Tape, input: Value): Value {
  const share = tape.scalar(1 / input.pixels);
  const shape = [tape.batch, input.channels];
  const output = new Value(shape, input.isTrained, { plain: tape.times(sumsOf(tape, input), share) });
  return tape.record(output, (gradient) => {
    tape.addGradient(input, spreadOver(tape, tape.times(tape.plainOf(gradient), share), input));
  });
}

/** [N, C, H, W] to [N, C]; pixels that are equally large share the gradient. */
export function maximumGlobally(tape: Tape, input: Value): Value {
  const { graph, batch } = tape;
  const [, channels = 0] = input.shape;
  const shape = [batch, channels];
  const x = tape.plainOf(input);
  const most = graph.node("GlobalMaxPool", [x]);
  const output = new Value(shape, input.isTrained, { plain: graph.reshape(most, shape) });
  return tape.record(output, (gradient) => {
    const isMost = graph.node("Cast", [graph.node("Equal", [x, most])], { to: 1 });
    const shares = graph.node("Div", [
      graph.reshape(tape.plainOf(gradient), [batch, channels, 1, 1]),
      tape.sumOver(isMost, [2, 3], 1),
    ]);
    tape.addGradient(input, new Value(input.shape, true, { plain: tape.times(isMost, shares) }));
  });
}

/** The maximum of each window; the gradient goes to the pixel that the runtime names, the first of equal ones. */
export function poolMaximum(tape: Tape, input: Value, geometry: Geometry): Value {
  const { graph, batch } = tape;
  const shape = [batch, input.channels, ...geometry.output];
  const { group: _, ...attributes } = nodeAttributes(geometry);
  const [most = "", places = ""] = graph.node("MaxPool", [tape.plainOf(input)], attributes, 2);
  const output = new Value(shape, input.isTrained, { plain: most });
  return tape.record(output, (gradient) => {
    const length = input.shape.reduce((product, size) => product * size, 1);
    const zeros = graph.node("Expand", [
      graph.constant("zero", "float32", [1], new Float32Array(1)),
      graph.int64s([length]),
    ]);
    const flat = graph.node(
      "ScatterElements",
      [zeros, graph.reshape(places, [-1]), graph.reshape(tape.plainOf(gradient), [-1])],
      { axis: 0, reduction: "add" },
    );
    tape.addGradient(input, new Value(input.shape, true, { plain: graph.reshape(flat, [...input.shape]) }));
  });
}

/** The mean of each window's pixels, zeros of the padding left out. */
export function poolAverage(tape: Tape, input: Value, geometry: Geometry): Value {
  const { graph, batch } = tape;
  const { channels } = input;
  const { group: _, dilations: __, ...attributes } = nodeAttributes(geometry);
  const output = new Value([batch, channels, ...geometry.output], input.isTrained, {
    plain: graph.node("AveragePool", [tape.plainOf(input)], attributes),
  });
  return tape.record(output, (gradient) => {
    const shares = tape.floats("shares", [1, 1, ...geometry.output], windowShares(geometry));
    const ones = tape.floats(
      "ones",
      [channels, 1, ...geometry.kernel],
      new Float32Array(channels * pixelsOf(geometry.kernel)).fill(1),
    );
    const plain = graph.node("ConvTranspose", [tape.times(tape.plainOf(gradient), shares), ones], {
      ...attributes,
      group: channels,
      output_padding: leftOver(geometry),
    });
    tape.addGradient(input, new Value(input.shape, true, { plain }));
  });
}

/** One over the number of pixels of each window that lie in the map. */
function windowShares({ kernel, strides, pads, input, output }: Geometry): Float32Array {
  const inside = (axis: 0 | 1, at: number): number => {
    const start = at * strides[axis] - pads[axis];
    return Math.min(start + kernel[axis], input[axis]) - Math.max(start, 0);
  };
  const shares = new Float32Array(pixelsOf(output));
  for (let row = 0; row < output[0]; row += 1) {
    for (let column = 0; column < output[1]; column += 1) {
      shares[row * output[1] + column] = 1 / (inside(0, row) * inside(1, column));
    }
  }
  return shares;
}

/** @param pads top, left, bottom, right; negative ones cut off */
export function pad(tape: Tape, input: Value, pads: Pads, fill = 0): Value {
  if (pads.every((size) => size === 0)) return input;
  return tape.record(padded(tape, input, pads, fill), (gradient) => {
    const [top, left, bottom, right] = pads;
    tape.addGradient(input, padded(tape, gradient, [-top, -left, -bottom, -right], 0));
  });
}

type Pads = readonly [top: number, left: number, bottom: number, right: number];

function padded(tape: Tape, input: Value, [top, left, bottom, right]: Pads, fill: number): Value {
  const { graph, block } = tape;
  const [batch = 0, channels = 0, height = 0, width = 0] = input.shape;
  const shape = [batch, channels, height + top + bottom, width + left + right];
  const around = (name: string, sizes: readonly number[]): string =>
    graph.node("Pad", [name, graph.int64s(sizes), ...(fill === 0 ? [] : [tape.scalar(fill)])]);
  if (!input.isBlocked) {
    const plain = around(tape.plainOf(input), [0, 0, top, left, 0, 0, bottom, right]);
    return new Value(shape, input.isTrained, { plain });
  }
  const rows = graph.reshape(tape.blockedOf(input), [(batch * channels) / block, height, width * block]);
  const blocked = graph.reshape(around(rows, [0, top, left * block, 0, bottom, right * block]), shape);
  return new Value(shape, input.isTrained, { blocked });
}
