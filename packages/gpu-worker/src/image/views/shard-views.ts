import type { Recipe, ShardEntry } from "@trommel/common";
import { drawViews } from "./view.js";

/** Every view of one image: affine [count, 2, 3] and colour [count, 3, 4], row-major. */
export type ImageViews = Readonly<ReturnType<typeof drawViews>>;

/**
 * The views of a shard's images, each drawn once though it is asked for twice: by what its rows are called, and by the batch
 * that it is computed in. A shard of 256 images with six views keeps 110 KB of them.
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

  /** Whoever gets them leaves them as they are. */
  of(position: number): ImageViews {
    const { views, seed } = this.#recipe;
    // View 0 is the picture itself, whatever its key.
    const place = views.count === 1 ? 0 : position;
    return (this.#drawn[place] ??= drawViews(views, seed, this.#entries[position]!.key));
  }
}
