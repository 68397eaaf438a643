import type { CropWindow } from "./crop-window.js";
import type { GeometricStep, ViewParameters } from "./view-parameters.js";

/** 2×3, row-major: maps output to input coordinates, normalised to -1 and 1 at the image's edges. */
type Affine = readonly [number, number, number, number, number, number];

const identity: Affine = [1, 0, 0, 0, 1, 0];
/** Anticlockwise: numpy's `rot90`. */
const quarterTurn: Affine = [0, -1, 0, 1, 0, 0];

/**
 * One matrix for all geometric steps. Each maps output to input, so the step applied to the image first is the leftmost: in
 * the fixed order crop · resized crop · rotation · shift · shear · zoom · flips · quarter turns.
 *
 * Nothing is rendered in between. A step that reaches past the edge of an earlier crop sees the image there; the edge pixel
 * repeats only outside the base image.
 */
export function affineMatrix(parameters: ViewParameters): number[] {
  return parameters.order
    .map((step) => stepMatrix(step, parameters))
    .reduce(times, identity)
    .map(withoutNegativeZero);
}

function stepMatrix(step: GeometricStep, parameters: ViewParameters): Affine {
  switch (step) {
    case "crop":
      return windowMatrix(parameters.crop);
    case "resizedCrop":
      return windowMatrix(parameters.resizedCrop);
    case "affine":
      return kerasMatrix(parameters);
    case "flipX":
      return parameters.flipX ? [-1, 0, 0, 0, 1, 0] : identity;
    case "flipY":
      return parameters.flipY ? [1, 0, 0, 0, -1, 0] : identity;
    case "quarterTurns":
      return Array<Affine>(parameters.quarterTurns).fill(quarterTurn).reduce(times, identity);
  }
}

/** Maps -1 and 1 to the window's edges. */
function windowMatrix({ left, top, width, height }: CropWindow): Affine {
  return [width, 0, 2 * left + width - 1, 0, height, 2 * top + height - 1];
}

/**
 * Rotation · shift · shear · zoom: `apply_affine_transform` of keras-preprocessing 1.1.
 * Keras's matrices act on (row, column); exchanging both axes turns its [[c, -s], [s, c]] into [[c, s], [-s, c]].
 * A shift by a fraction of the side is twice that in normalised units, and is itself turned by the rotation.
 */
function kerasMatrix({ rotation, shiftX, shiftY, shear, zoomX, zoomY }: ViewParameters): Affine {
  const angle = (rotation * Math.PI) / 180;
  const slant = (shear * Math.PI) / 180;
  const steps: Affine[] = [
    [Math.cos(angle), Math.sin(angle), 0, -Math.sin(angle), Math.cos(angle), 0],
    [1, 0, 2 * shiftX, 0, 1, 2 * shiftY],
    [Math.cos(slant), 0, 0, -Math.sin(slant), 1, 0],
    [zoomX, 0, 0, 0, zoomY, 0],
  ];
  return steps.reduce(times);
}

/** Weights of Rec. ITU-R BT.601, with which Pillow converts an image to grey (torchvision's tensor code rounds to 0.2989). */
const luma = [0.299, 0.587, 0.114] as const;
const midGrey = 127.5;

/**
 * Saturation blends with the pixel's own grey, then contrast stretches about mid-grey, then brightness scales.
 * Brightness and saturation are those of torchvision's `ColorJitter`, which draws the order of the three (it does not matter
 * for these two) and clips after each. torchvision's contrast stretches about the image's mean; ours stretches about mid-grey,
 * so that a view depends only on its key. Clipping happens once, after all three.
 */
export function colourMatrix(parameters: ViewParameters): number[] {
  const { brightness, contrast, saturation } = parameters;
  const gain = brightness * contrast;
  const offset = brightness * (1 - contrast) * midGrey;
  const matrix: number[] = [];
  for (let to = 0; to < 3; to += 1) {
    for (const [from, weight] of luma.entries()) {
      matrix.push(gain * ((1 - saturation) * weight + (from === to ? saturation : 0)));
    }
    matrix.push(offset);
  }
  return matrix.map(withoutNegativeZero);
}

/** The matrix that applies `a` to the image and then `b`. */
function times(a: Affine, b: Affine): Affine {
  return [
    a[0] * b[0] + a[1] * b[3],
    a[0] * b[1] + a[1] * b[4],
    a[0] * b[2] + a[1] * b[5] + a[2],
    a[3] * b[0] + a[4] * b[3],
    a[3] * b[1] + a[4] * b[4],
    a[3] * b[2] + a[4] * b[5] + a[5],
  ];
}

function withoutNegativeZero(value: number): number {
  return value === 0 ? 0 : value;
}
