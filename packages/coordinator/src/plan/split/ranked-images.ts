/** What is known of an image before the split is chosen: it is open, or on the side where an earlier run or a list puts it. */
export const sides = { open: 0, validation: 1, test: 2 } as const;
export type Side = (typeof sides)[keyof typeof sides];

/** What the choice of a part looks at. */
export interface SplitImages {
  /** In order of first occurrence. */
  readonly labels: readonly string[];
  /** Images of each label, in all and by the side that they have. */
  readonly counts: readonly number[];
  readonly countsBySide: Readonly<Record<Side, readonly number[]>>;
  /** Images of each shard. */
  readonly shardSizes: readonly number[];
  readonly forEach: (visit: (classIndex: number, rank: number, side: Side) => void) => void;
}

/**
 * The labelled images of a listing, in its order, reduced to what the split needs: four bytes for the rank, and for the
 * class almost nothing if the images of a class are consecutive, as in class folders, otherwise two bytes (four beyond
 * 16,384 classes). Keys are not kept, so ten million images take 40 to 60 MB.
 */
export class RankedImages implements SplitImages {
  /** In order of first occurrence. */
  readonly labels: string[] = [];
  /** Images of each label. */
  readonly counts: number[] = [];
  readonly countsBySide: Record<Side, number[]> = { 0: [], 1: [], 2: [] };
  /** Images of each shard. */
  readonly shardSizes: number[] = [];
  readonly #indices = new Map<string, number>();
  readonly #ranks: Uint32Array[] = [];
  /** Four times the class's index, and the side. */
  readonly #tags: TagBlock[] = [];
  #length = 0;
  #shardStart = 0;

  /** @param rank 32 bits; see splitRank */
  add(label: string, rank: number, side: Side): void {
    let index = this.#indices.get(label);
    if (index === undefined) {
      index = this.labels.push(label) - 1;
      this.#indices.set(label, index);
      this.counts.push(0);
      for (const of of Object.values(sides)) this.countsBySide[of].push(0);
    }
    this.counts[index]! += 1;
    this.countsBySide[side][index]! += 1;
    const offset = this.#length % blockSize;
    if (offset === 0) {
      this.#ranks.push(new Uint32Array(blockSize));
      this.#tags.push(new TagBlock());
    }
    this.#ranks.at(-1)![offset] = rank;
    this.#tags.at(-1)!.push(4 * index + side);
    this.#length += 1;
  }

  /** Ends a shard: everything added since the last call belongs to it. */
  endShard(): void {
    this.shardSizes.push(this.#length - this.#shardStart);
    this.#shardStart = this.#length;
  }

  /** Drops everything except the labels and their counts, to free memory. */
  forget(): void {
    this.#ranks.length = 0;
    this.#tags.length = 0;
  }

  readonly forEach: SplitImages["forEach"] = (visit) => {
    for (const [block, tags] of this.#tags.entries()) {
      const ranks = this.#ranks[block]!;
      tags.forEach((tag, i) => visit(tag >>> 2, ranks[i]!, (tag & 3) as Side));
    }
  };
}

const blockSize = 2 ** 16;
/** With more runs than this a block is not smaller in run-length form. */
const runsAtMost = blockSize / 16;
const shortEnd = 2 ** 16;

/** A block of numbers: run-length encoded while there are few runs, otherwise plain. */
class TagBlock {
  #length = 0;
  #runs: { readonly tag: number; end: number }[] = [];
  #each: Uint16Array | Uint32Array | undefined;

  push(tag: number): void {
    const last = this.#runs.at(-1);
    this.#length += 1;
    if (this.#each === undefined) {
      if (last?.tag === tag) last.end = this.#length;
      else this.#runs.push({ tag, end: this.#length });
      if (this.#runs.length > runsAtMost) this.#spread();
      return;
    }
    if (tag >= shortEnd && this.#each instanceof Uint16Array) this.#each = Uint32Array.from(this.#each);
    this.#each[this.#length - 1] = tag;
  }

  forEach(visit: (tag: number, index: number) => void): void {
    if (this.#each !== undefined) {
      for (let i = 0; i < this.#length; i += 1) visit(this.#each[i]!, i);
      return;
    }
    let i = 0;
    for (const { tag, end } of this.#runs) for (; i < end; i += 1) visit(tag, i);
  }

  #spread(): void {
    const isShort = this.#runs.every(({ tag }) => tag < shortEnd);
    const each = new (isShort ? Uint16Array : Uint32Array)(blockSize);
    this.forEach((tag, i) => (each[i] = tag));
    this.#each = each;
    this.#runs = [];
  }
}
