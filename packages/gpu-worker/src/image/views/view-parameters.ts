import type { Flip } from "@trommel/common/recipe";
import { SeededRandom, type ViewsRecipe, seedFrom } from "@trommel/common";
import { type CropWindow, drawEdgeCrop, drawResizedCrop, wholeImage } from "./crop-window.js";

/** The steps that move pixels; `affine` is rotation, shift, shear and zoom in one, as in Keras. */
export type GeometricStep = "crop" | "resizedCrop" | "affine" | "flipX" | "flipY" | "quarterTurns";

/**
 * From the first step applied to the image to the last. Crops come first, as in torchvision's usual pipelines: the share
 * that they cut then refers to the base image, and all that they show is inside it; flips and turns act on the result.
 */
export const fixedOrder: readonly GeometricStep[] = [
  "crop",
  "resizedCrop",
  "affine",
  "flipX",
  "flipY",
  "quarterTurns",
];

/** The drawn values. Rotation, shift, shear and zoom are Keras's; `x` is the row axis in Keras and the column axis here. */
export interface ViewParameters {
  /** Degrees, clockwise. */
  readonly rotation: number;
  /** Fraction of the side, along columns: Keras's width shift. Above zero the image moves left. */
  readonly shiftX: number;
  /** Fraction of the side, along rows: Keras's height shift. Above zero the image moves up. */
  readonly shiftY: number;
  /** Degrees. */
  readonly shear: number;
  /** Scales of the sampled area; above one shows more of the image, smaller. */
  readonly zoomX: number;
  readonly zoomY: number;
  readonly flipX: boolean;
  readonly flipY: boolean;
  /** Anticlockwise, 0 to 3. */
  readonly quarterTurns: number;
  readonly brightness: number;
  readonly contrast: number;
  readonly saturation: number;
  readonly crop: CropWindow;
  readonly resizedCrop: CropWindow;
  /** Every step once, in the order in which they are applied. */
  readonly order: readonly GeometricStep[];
}

export const identityParameters: ViewParameters = {
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
  crop: wholeImage,
  resizedCrop: wholeImage,
  order: fixedOrder,
};

/** The image flipped and nothing else. */
export function flippedParameters(flip: Flip): ViewParameters {
  return { ...identityParameters, flipX: flip !== "vertical", flipY: flip !== "horizontal" };
}

/**
 * Draws the parameters of one view of an image; view 0 is the identity, and the next ones may be flips of it. Pure.
 *
 * Every number is drawn whether the recipe uses it or not, so that switching one on does not change the others; a new number
 * is drawn after all earlier ones, so that existing views do not change. The order is drawn over all steps: steps that are off
 * do nothing, and all orders of the others are equally likely, as in imgaug's `Sequential(random_order=True)`.
 */
export function viewParameters(
  recipe: ViewsRecipe,
  seed: number,
  imageKey: string,
  viewIndex: number,
): ViewParameters {
  if (viewIndex === 0) return identityParameters;
  const flip = recipe.flips[viewIndex - 1];
  if (flip !== undefined) return flippedParameters(flip);
  const random = new SeededRandom(seedFrom("view", seed, imageKey, viewIndex));
  const around = (centre: number, range: number) => random.uniform(centre - range, centre + range);
  return {
    rotation: around(0, recipe.rotation),
    shiftX: around(0, recipe.shiftX),
    shiftY: around(0, recipe.shiftY),
    shear: around(0, recipe.shear),
    zoomX: around(1, recipe.zoom),
    zoomY: around(1, recipe.zoom),
    flipX: isMirrored(recipe.horizontalFlip, viewIndex, random),
    flipY: random.unit() < 0.5 && recipe.verticalFlip,
    quarterTurns: random.integer(4) * (recipe.quarterTurns ? 1 : 0),
    brightness: around(1, recipe.brightness),
    contrast: around(1, recipe.contrast),
    saturation: around(1, recipe.saturation),
    crop: drawEdgeCrop(recipe.crop, random),
    resizedCrop: drawResizedCrop(recipe.resizedCrop, random),
    order: drawOrder(recipe.order, random),
  };
}

function isMirrored(flip: ViewsRecipe["horizontalFlip"], viewIndex: number, random: SeededRandom): boolean {
  const isDrawn = random.unit() < 0.5;
  return flip === "alternate" ? viewIndex % 2 === 1 : flip && isDrawn;
}

function drawOrder(order: ViewsRecipe["order"], random: SeededRandom): readonly GeometricStep[] {
  const shuffled = random.shuffle([...fixedOrder]);
  return order === "random" ? shuffled : fixedOrder;
}
