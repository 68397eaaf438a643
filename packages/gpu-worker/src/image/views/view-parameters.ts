import { SeededRandom, type ViewsRecipe, seedFrom } from "@trommel/common";
import { type CropWindow, drawEdgeCrop, drawResizedCrop, wholePicture } from "./crop-window.js";

/** The steps that move pixels; `affine` is rotation, shift, shear and zoom in one, as Keras has it. */
export type GeometricStep = "crop" | "resizedCrop" | "affine" | "flipX" | "flipY" | "quarterTurns";

/**
 * From the first step done to the picture to the last. Crops come first, as in torchvision's usual pipelines: the share
 * that they cut then refers to the base image, and all of what they show lies inside it; flips and turns act on the
 * picture that is left.
 */
export const fixedOrder: readonly GeometricStep[] = [
  "crop",
  "resizedCrop",
  "affine",
  "flipX",
  "flipY",
  "quarterTurns",
];

/** What was drawn. Rotation, shift, shear and zoom are Keras's; `x` is the row axis there and the column axis here. */
export interface ViewParameters {
  /** Degrees, clockwise. */
  readonly rotation: number;
  /** Fraction of the side, along columns: Keras's width shift. Above zero the picture moves left. */
  readonly shiftX: number;
  /** Fraction of the side, along rows: Keras's height shift. Above zero the picture moves up. */
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
  readonly crop: CropWindow;
  readonly resizedCrop: CropWindow;
  /** Every step once, the first done first. */
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
  crop: wholePicture,
  resizedCrop: wholePicture,
  order: fixedOrder,
};

/**
 * Of an image's view; view 0 is the identity. Pure.
 *
 * Every number is drawn whether the recipe uses it or not, so that switching one on leaves the others as they were; a
 * new one is drawn after all that were there before it, so that views stay what they were. An order is drawn over all
 * steps: those that are off do nothing, and those that are on follow one another in each order equally often, as in
 * imgaug's `Sequential(random_order=True)`.
 */
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
