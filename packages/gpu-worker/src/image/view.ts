import { SeededRandom, type ViewsRecipe, seedFrom } from "@trommel/common";

/**
 * A view: one augmented rendering of an image, drawn from (seed, image key, view index) and nothing else.
 *
 * Geometry is that of Keras's ImageDataGenerator: rotation, shift, shear and zoom composed about the picture's centre
 * (`apply_affine_transform` of keras-preprocessing 1.1), then flips, then quarter turns; the edge pixel repeats outside.
 */

/** What was drawn, in Keras's terms: `x` is the row axis there and the column axis here. */
export interface ViewParameters {
  /** Degrees. */
  readonly rotation: number;
  /** Fraction of the side, along columns: Keras's width shift. */
  readonly shiftX: number;
  /** Fraction of the side, along rows: Keras's height shift. */
  readonly shiftY: number;
  /** Degrees. */
  readonly shear: number;
  /** Scales of the sampled area; above one shows more of the picture, smaller. */
  readonly zoomX: number;
  readonly zoomY: number;
  readonly flipX: boolean;
  readonly flipY: boolean;
  /** Anticlockwise, 0 to 3. */
  readonly quarterTurns: number;
  readonly brightness: number;
  readonly contrast: number;
  readonly saturation: number;
}

export interface View {
  /**
   * 2×3, row-major: takes (x, y, 1) of the output to (x, y) of the input. Both are normalised: x to the right and y
   * down, -1 and 1 at the picture's edges (not at the outer pixels' centres), hence independent of resolution.
   */
  readonly affine: readonly number[];
  /** 3×4, row-major: takes (r, g, b, 1) in 0..255 to (r, g, b), to be clipped to 0..255. */
  readonly colour: readonly number[];
}

const identityParameters: ViewParameters = {
  rotation: 0,
  shiftX: 0,
  shiftY: 0,
  shear: 0,
  zoomX: 1,
  zoomY: 1,
  flipX: false,
  flipY: false,
  quarterTurns: 0,
  brightness: 1,
  contrast: 1,
  saturation: 1,
};

/** Of an image's view; view 0 is the identity. Pure. */
export function drawView(recipe: ViewsRecipe, seed: number, imageKey: string, viewIndex: number): View {
  const parameters = viewParameters(recipe, seed, imageKey, viewIndex);
  return { affine: affineMatrix(parameters), colour: colourMatrix(parameters) };
}

/** Every view of one image, in order: affine [count, 2, 3] and colour [count, 3, 4], row-major. */
export function drawViews(
  recipe: ViewsRecipe,
  seed: number,
  imageKey: string,
): { affine: Float32Array; colour: Float32Array } {
  const affine = new Float32Array(recipe.count * 6);
  const colour = new Float32Array(recipe.count * 12);
  for (let index = 0; index < recipe.count; index += 1) {
    const view = drawView(recipe, seed, imageKey, index);
    affine.set(view.affine, index * 6);
    colour.set(view.colour, index * 12);
  }
  return { affine, colour };
}

/** Whether any view can change colours; where not, the graph needs no colour step. */
export function hasColour(recipe: ViewsRecipe): boolean {
  return recipe.count > 1 && (recipe.brightness > 0 || recipe.contrast > 0 || recipe.saturation > 0);
}

/** Every number is drawn whether the recipe uses it or not, so that switching one on leaves the others as they were. */
export function viewParameters(
  recipe: ViewsRecipe,
  seed: number,
  imageKey: string,
  viewIndex: number,
): ViewParameters {
  if (viewIndex === 0) return identityParameters;
  const random = new SeededRandom(seedFrom("view", seed, imageKey, viewIndex));
  const around = (centre: number, range: number) => random.uniform(centre - range, centre + range);
  return {
    rotation: around(0, recipe.rotation),
    shiftX: around(0, recipe.shiftX),
    shiftY: around(0, recipe.shiftY),
    shear: around(0, recipe.shear),
    zoomX: around(1, recipe.zoom),
    zoomY: around(1, recipe.zoom),
    flipX: random.unit() < 0.5 && recipe.horizontalFlip === true,
    flipY: random.unit() < 0.5 && recipe.verticalFlip,
    quarterTurns: random.integer(4) * (recipe.quarterTurns ? 1 : 0),
    brightness: around(1, recipe.brightness),
    contrast: around(1, recipe.contrast),
    saturation: around(1, recipe.saturation),
  };
}

/**
 * Output → input is rotation · shift · shear · zoom · flips · quarter turn, as 2×2 and offset in (x, y).
 * Keras's matrices act on (row, column); exchanging both axes turns its [[c, -s], [s, c]] into [[c, s], [-s, c]].
 * A shift by a fraction of the side is twice that in normalised units, and is itself turned by the rotation.
 */
export function affineMatrix(parameters: ViewParameters): number[] {
  const angle = (parameters.rotation * Math.PI) / 180;
  const shear = (parameters.shear * Math.PI) / 180;
  const rotation: Linear = [Math.cos(angle), Math.sin(angle), -Math.sin(angle), Math.cos(angle)];
  let linear = times(rotation, [Math.cos(shear), 0, -Math.sin(shear), 1]);
  linear = times(linear, [parameters.zoomX, 0, 0, parameters.zoomY]);
  linear = times(linear, [parameters.flipX ? -1 : 1, 0, 0, parameters.flipY ? -1 : 1]);
  for (let turn = 0; turn < parameters.quarterTurns; turn += 1) linear = times(linear, [0, -1, 1, 0]);
  const shiftX = 2 * parameters.shiftX;
  const shiftY = 2 * parameters.shiftY;
  return [
    linear[0],
    linear[1],
    rotation[0] * shiftX + rotation[1] * shiftY,
    linear[2],
    linear[3],
    rotation[2] * shiftX + rotation[3] * shiftY,
  ].map(withoutNegativeZero);
}

/** Weights of Rec. ITU-R BT.601, as torchvision's and Pillow's grey conversion has them. */
const luma = [0.299, 0.587, 0.114] as const;
const midGrey = 127.5;

/**
 * Saturation blends with the pixel's own grey, then contrast stretches about mid-grey, then brightness scales.
 * torchvision's contrast stretches about the picture's mean; ours is about mid-grey, so that a view stays a function
 * of its key alone. Clipping happens once, after all three.
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

/** 2×2, row-major. */
type Linear = readonly [number, number, number, number];

function times(a: Linear, b: Linear): Linear {
  return [
    a[0] * b[0] + a[1] * b[2],
    a[0] * b[1] + a[1] * b[3],
    a[2] * b[0] + a[3] * b[2],
    a[2] * b[1] + a[3] * b[3],
  ];
}

function withoutNegativeZero(value: number): number {
  return value === 0 ? 0 : value;
}
