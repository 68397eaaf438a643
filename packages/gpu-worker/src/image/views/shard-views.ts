import type { Recipe, ShardEntry } from "@trommel/common";
import { drawViews } from "./view.js";

/** Every view of one image: affine [count, 2, 3] and colour [count, 3, 4], row-major. */
export type ImageViews = Readonly<ReturnType<typeof drawViews>>;

/**
 * The views of a shard's images, drawn once although they are used twice: to identify the image's features, and in the batch
 * that computes them. A shard of 256 images with six views keeps 110 KB.
 */
export class ShardViews {
  readonly #recipe: Pick<Recipe, "views" | "seed">;
  readonly #entries: readonly Pick<ShardEntry, "key">[];
  /** By position. */
  readonly #drawn: ImageViews[] = [];

  constructor(recipe: Pick<Recipe, "views" | "seed">, entries: readonly Pick<ShardEntry, "key">[]) {
    this.#recipe = recipe;
    this.#entries = entries;
  }

  /** Callers must not change the arrays. */
  of(position: number): ImageViews {
    const { views, seed } = this.#recipe;
    // View 0 is the unchanged image, whatever its key.
    const place = views.count === 1 ? 0 : position;
    return (this.#drawn[place] ??= drawViews(views, seed, this.#entries[position]!.key));
  }
}
