import { sides, type Side, type SplitImages } from "./ranked-images.js";
import { ShardPositions } from "./shard-positions.js";

/** Images of each class that a part takes in addition to those that it has. */
export type Wanted = readonly number[];

/** The bound of an image's rank to be among the chosen ones of its class. */
interface RankBound {
  /** Every smaller rank is chosen. */
  readonly below: number;
  /** The number of equal ranks that are chosen, in listing order. */
  readonly equal: number;
}

/** All ranks are smaller. */
const rankEnd = 2 ** 32;

/** Which open images of a listing a part takes. */
interface Bounds {
  readonly ofClass: readonly RankBound[];
  readonly wanted: Wanted;
  /** Ranks count from the other end. */
  readonly highest: boolean;
}

const noBounds: Bounds = { ofClass: [], wanted: [], highest: false };

/**
 * The bounds of the images of lowest rank.
 * @param options.highest takes those of highest rank instead
 */
export function lowestRanks(
  images: SplitImages,
  wanted: Wanted,
  { highest = false }: { readonly highest?: boolean } = {},
): Bounds {
  const rankOf = (rank: number): number => (highest ? rankEnd - 1 - rank : rank);
  const { limits, starts } = boundCandidates(images, wanted, rankOf);
  // One array for all classes, filled class by class: there may be many classes.
  const ranks = new Uint32Array(starts.at(-1) ?? 0);
  const filled = starts.slice();
  images.forEach((classIndex, rank, side) => {
    if (side !== sides.open || rankOf(rank) >= (limits[classIndex] ?? 0)) return;
    const at = filled[classIndex] ?? 0;
    ranks[at] = rankOf(rank);
    filled[classIndex] = at + 1;
  });
  const ofClass = wanted.map((count, index) => {
    if (count === 0) return { below: 0, equal: 0 };
    const own = ranks.subarray(starts[index], starts[index + 1]).sort();
    const below = own[count - 1] ?? 0;
    return { below, equal: count - own.indexOf(below) };
  });
  return { ofClass, wanted, highest };
}

/**
 * Ranks are spread evenly, so the chosen ones lie below a limit that follows from the counts. With a margin it nearly always
 * suffices, and a class for which it does not uses all of its ranks. So a tenth of ten million is sorted instead of all.
 * @returns for each class the limit of its candidates, and where they start in an array of all (one more: its length)
 */
function boundCandidates(
  images: SplitImages,
  wanted: Wanted,
  rankOf: (rank: number) => number,
): { readonly limits: Float64Array; readonly starts: Float64Array } {
  const limits = Float64Array.from(wanted, (count, index) => {
    const of = images.countsBySide[sides.open][index] ?? 0;
    return count === 0 ? 0 : Math.min(rankEnd, (rankEnd * (count + 6 * Math.sqrt(count) + 8)) / of);
  });
  for (;;) {
    const found = new Float64Array(wanted.length);
    images.forEach((classIndex, rank, side) => {
      if (side === sides.open && rankOf(rank) < (limits[classIndex] ?? 0)) found[classIndex]! += 1;
    });
    const short = wanted.flatMap((count, index) => ((found[index] ?? 0) < count ? [index] : []));
    if (short.length === 0) {
      const starts = new Float64Array(wanted.length + 1);
      for (const [index, count] of found.entries()) starts[index + 1] = (starts[index] ?? 0) + count;
      return { limits, starts };
    }
    for (const index of short) limits[index] = rankEnd;
  }
}

/** The images on one side: those that have it already, and open ones within bounds. */
export class PartChoice {
  readonly #images: SplitImages;
  readonly #side: Side;
  readonly #bounds: Bounds;

  constructor(images: SplitImages, side: Side, bounds = noBounds) {
    this.#images = images;
    this.#side = side;
    this.#bounds = bounds;
  }

  positions(): ShardPositions {
    const { shardSizes } = this.#images;
    const marked = this.marked();
    const all = new Uint32Array(marked.countsBySide[this.#side].reduce((sum, count) => sum + count, 0));
    const ends: number[] = [];
    let found = 0;
    let position = 0;
    marked.forEach((_, __, side) => {
      while (position === shardSizes[ends.length]) {
        ends.push(found);
        position = 0;
      }
      if (side === this.#side) {
        all[found] = position;
        found += 1;
      }
      position += 1;
    });
    while (ends.length < shardSizes.length) ends.push(found);
    return new ShardPositions(all, ends);
  }

  /** The images with the chosen ones on this side. */
  marked(): SplitImages {
    const { labels, counts, countsBySide, shardSizes, forEach } = this.#images;
    const { wanted } = this.#bounds;
    const plus = (side: Side, sign: 1 | -1): number[] =>
      countsBySide[side].map((count, index) => count + sign * (wanted[index] ?? 0));
    const moved = { ...countsBySide, [sides.open]: plus(sides.open, -1), [this.#side]: plus(this.#side, 1) };
    const visitMarked: SplitImages["forEach"] = (visit) => {
      const isChosen = this.#chooser();
      forEach((classIndex, rank, side) => {
        const chosen = side === sides.open && isChosen(classIndex, rank);
        visit(classIndex, rank, chosen ? this.#side : side);
      });
    };
    return { labels, counts, countsBySide: moved, shardSizes, forEach: visitMarked };
  }

  /** Counts equal ranks down, so it must be asked of every open image once, in listing order. */
  #chooser(): (classIndex: number, rank: number) => boolean {
    const { ofClass, highest } = this.#bounds;
    const equal = ofClass.map((bound) => bound.equal);
    return (classIndex, rank) => {
      const bound = ofClass[classIndex];
      const own = highest ? rankEnd - 1 - rank : rank;
      if (bound === undefined || own > bound.below) return false;
      if (own < bound.below) return true;
      equal[classIndex]! -= 1;
      return equal[classIndex]! >= 0;
    };
  }
}
