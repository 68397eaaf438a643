import type { ViewsRecipe } from "@trommel/common";
import { affineMatrix, colourMatrix } from "./view-matrices.js";
import { identityParameters, viewParameters } from "./view-parameters.js";

/**
 * A view: one augmented rendering of an image, drawn from (seed, image key, view index) and nothing else.
 *
 * `view-parameters` draws the numbers and `crop-window` the crops; `view-matrices` turns them into one affine and one colour
 * matrix. Outside the image its edge pixel repeats.
 */

export interface View {
  /**
   * 2×3, row-major: maps (x, y, 1) of the output to (x, y) of the input. Both are normalised: x to the right and y
   * down, -1 and 1 at the image's edges (not at the outer pixels' centres), hence independent of resolution.
   */
  readonly affine: readonly number[];
  /** 3×4, row-major: maps (r, g, b, 1) in 0..255 to (r, g, b), which is then clipped to 0..255. */
  readonly colour: readonly number[];
}

const identityView: View = {
  affine: affineMatrix(identityParameters),
  colour: colourMatrix(identityParameters),
};

/** Draws one view of an image; view 0 is the identity. Pure. */
export function drawView(recipe: ViewsRecipe, seed: number, imageKey: string, viewIndex: number): View {
  if (viewIndex === 0) return identityView;
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

/** Whether any view can change colours; if not, the graph needs no colour step. */
export function hasColour(recipe: ViewsRecipe): boolean {
  return recipe.count > 1 && (recipe.brightness > 0 || recipe.contrast > 0 || recipe.saturation > 0);
}
