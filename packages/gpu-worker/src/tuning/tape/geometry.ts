/** How a window slides over a map. */
export interface Geometry {
  readonly kernel: readonly [height: number, width: number];
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  /** Zeros around the input: top, left, bottom, right. */
  readonly pads: readonly [number, number, number, number];
  readonly groups: number;
  /** Height and width of the input. */
  readonly input: readonly [number, number];
  readonly output: readonly [number, number];
}

const axes = [0, 1] as const;
type Axis = (typeof axes)[number];

/** Attributes of a convolution's node. */
export function nodeAttributes({ kernel, strides, dilations, pads, groups }: Geometry) {
  return {
    kernel_shape: [...kernel],
    strides: [...strides],
    dilations: [...dilations],
    pads: [...pads],
    group: groups,
  };
}

/** From this many pixels on a product per image is faster than one product over the whole batch. */
export const perImageFrom = 784;

/** Pixels that the windows left over at the end of each axis: the `output_padding` of a ConvTranspose in the ONNX specification. */
export function leftOver(geometry: Geometry): number[] {
  const { strides, pads, input, output } = geometry;
  return axes.map((axis) => {
    const covered = (output[axis] - 1) * strides[axis] + spanOf(geometry, axis);
    return input[axis] - (covered - pads[axis] - (pads[axis + 2] ?? 0));
  });
}

/** Pixels that a dilated kernel covers. */
function spanOf({ kernel, dilations }: Geometry, axis: Axis): number {
  return (kernel[axis] - 1) * dilations[axis] + 1;
}

export function kernelSize({ kernel }: Geometry): number {
  return kernel[0] * kernel[1];
}

export function pixelsOf([height, width]: readonly [number, number]): number {
  return height * width;
}

export function isStrided({ strides }: Geometry): boolean {
  return strides[0] !== 1 || strides[1] !== 1;
}

/** A kernel of one pixel, without padding. */
export function isPointwise({ kernel, pads }: Geometry): boolean {
  return kernel[0] === 1 && kernel[1] === 1 && pads.every((pad) => pad === 0);
}

/**
 * The input gradient of a convolution is one of the output's gradient, with zeros between its pixels, by the turned kernel.
 * @returns length of each axis with those zeros, and the padding of that convolution; undefined where it would be negative
 */
export function turned(
  geometry: Geometry,
):
  | { readonly lengths: readonly [number, number]; readonly pads: readonly [number, number, number, number] }
  | undefined {
  const { strides, pads, input, output } = geometry;
  const place = (axis: Axis) => {
    const before = spanOf(geometry, axis) - 1 - pads[axis];
    const length = Math.min(output[axis] * strides[axis], input[axis] + pads[axis]);
    return { before, length, after: input[axis] - length + pads[axis] };
  };
  const [vertical, horizontal] = [place(0), place(1)];
  const all = [vertical.before, horizontal.before, vertical.after, horizontal.after] as const;
  if (all.some((pad) => pad < 0)) return undefined;
  return { lengths: [vertical.length, horizontal.length], pads: all };
}

/**
 * The kernel's gradient is a convolution of the input by the output's gradient, where stride and dilation change places.
 * @returns its padding, with which it yields exactly the kernel's size; a negative one cuts pixels off that no window reached
 */
export function kernelGradientPads(geometry: Geometry): readonly [number, number, number, number] {
  const { strides, pads, input, output } = geometry;
  const after = (axis: Axis): number =>
    spanOf(geometry, axis) + (output[axis] - 1) * strides[axis] - input[axis] - pads[axis];
  return [pads[0], pads[1], after(0), after(1)];
}
