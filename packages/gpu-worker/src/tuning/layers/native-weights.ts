import type { BoundLayer } from "../../backbone/layers/bound-layer.js";
import { weightOf } from "../../backbone/compile/compile-context.js";

/** A layer's weight as its nodes need it, and how its values get there and back from Keras's order. */
export interface NativeWeight {
  /** As Keras has it: kernels [kh, kw, in, out], depthwise ones [kh, kw, in, multiplier]. */
  readonly kerasShape: readonly number[];
  /** Kernels of convolutions [out, in / groups, kh, kw]; everything else as in Keras. */
  readonly shape: readonly number[];
  readonly toNative: (values: Float32Array) => Float32Array;
  readonly toKeras: (values: Float32Array) => Float32Array;
}

const asItIs = (values: Float32Array): Float32Array => values;

export function nativeWeight(layer: BoundLayer, name: string): NativeWeight {
  const { shape } = weightOf(layer, name);
  if (shape.length !== 4) return { kerasShape: shape, shape, toNative: asItIs, toKeras: asItIs };
  const [height = 0, width = 0, third = 0, fourth = 0] = shape;
  const isDepthwise = name === "depthwise_kernel";
  // Depthwise output channel = input channel · multiplier + index, which is Keras's own order of the last two axes.
  const [ins, outs] = isDepthwise ? [1, third * fourth] : [third, fourth];
  const pixels = height * width;
  return {
    kerasShape: shape,
    shape: [outs, ins, height, width],
    toNative: (values) =>
      transposed(values, pixels * ins, outs, (row) => (row % ins) * pixels + Math.floor(row / ins)),
    toKeras: (values) => {
      const keras = new Float32Array(values.length);
      for (let row = 0; row < pixels * ins; row += 1) {
        const place = (row % ins) * pixels + Math.floor(row / ins);
        for (let out = 0; out < outs; out += 1) {
          keras[row * outs + out] = values[out * pixels * ins + place] as number;
        }
      }
      return keras;
    },
  };
}

/** [rows, columns] to [columns, rows], each row at its place. */
function transposed(
  values: Float32Array,
  rows: number,
  columns: number,
  placeOf: (row: number) => number,
): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row += 1) {
    const place = placeOf(row);
    for (let column = 0; column < columns; column += 1) {
      result[column * rows + place] = values[row * columns + column] as number;
    }
  }
  return result;
}
