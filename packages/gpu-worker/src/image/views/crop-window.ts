import type { SeededRandom, ViewsRecipe } from "@trommel/common";

/** A rectangle of the image that is stretched to the whole square, in fractions of the image's sides. */
export interface CropWindow {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export const wholeImage: CropWindow = { left: 0, top: 0, width: 1, height: 1 };

/**
 * Cuts a random share off each of the four edges, independently: imgaug's `Sometimes(probability, Crop(percent=(0, share)))`,
 * which stretches the rest to the old size (`keep_size`). imgaug cuts whole pixels; here edges are continuous. Always five draws.
 */
export function drawEdgeCrop(recipe: ViewsRecipe["crop"], random: SeededRandom): CropWindow {
  const { share, probability } = recipe ?? { share: 0, probability: 0 };
  const happens = random.unit() < probability;
  const edge = () => random.uniform(0, share);
  const [left, right, top, bottom] = [edge(), edge(), edge(), edge()];
  return happens ? { left, top, width: 1 - left - right, height: 1 - top - bottom } : wholeImage;
}

const tries = 10;
const everythingSquare = { area: [1, 1], ratio: [1, 1] } as const;

/**
 * Szegedy et al. (2015), as `RandomResizedCrop.get_params` of torchvision 0.14: draws an area and an aspect ratio until they
 * fit, at most ten times, and then a uniform position. It refers to the square base image, torchvision's to the image before
 * any resizing; sizes and positions are continuous, not whole pixels. Always 22 draws.
 */
export function drawResizedCrop(recipe: ViewsRecipe["resizedCrop"], random: SeededRandom): CropWindow {
  const { area, ratio } = recipe ?? everythingSquare;
  const sizes = Array.from({ length: tries }, () => {
    const share = random.uniform(area[0], area[1]);
    const aspect = Math.exp(random.uniform(Math.log(ratio[0]), Math.log(ratio[1])));
    return { width: Math.sqrt(share * aspect), height: Math.sqrt(share / aspect) };
  });
  const [x, y] = [random.unit(), random.unit()];
  const fitting = sizes.find(({ width, height }) => width <= 1 && height <= 1);
  if (fitting === undefined) return centralWindow(ratio);
  const { width, height } = fitting;
  return { left: x * (1 - width), top: y * (1 - height), width, height };
}

/** torchvision's fallback: the largest central window with the legal aspect ratio nearest to one. */
function centralWindow([narrowest, widest]: readonly [number, number]): CropWindow {
  const width = Math.min(1, widest);
  const height = Math.min(1, 1 / narrowest);
  return { left: (1 - width) / 2, top: (1 - height) / 2, width, height };
}
