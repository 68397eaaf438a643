const rememberedBit = 2 ** 31;

/**
 * The labelled images of a listing, in its order, as what the split is chosen by: eight bytes each, so that ten million of
 * them take 80 MB, and no key.
 */
export class RankedImages {
  /** In the order in which they were first met. */
  readonly labels: string[] = [];
  /** Images of each label. */
  readonly counts: number[] = [];
  /** Of these, those that validated in earlier runs. */
  readonly rememberedCounts: number[] = [];
  /** Images of each shard. */
  readonly shardSizes: number[] = [];
  readonly #indices = new Map<string, number>();
  readonly #ranks = new Uint32Column();
  /** The class's index; the top bit is set for remembered images. */
  readonly #classes = new Uint32Column();
  #shardStart = 0;

  /** @param rank 32 bits; see splitRank */
  add(label: string, rank: number, remembered: boolean): void {
    let index = this.#indices.get(label);
    if (index === undefined) {
      index = this.labels.push(label) - 1;
      this.#indices.set(label, index);
      this.counts.push(0);
      this.rememberedCounts.push(0);
    }
    this.counts[index]! += 1;
    if (remembered) this.rememberedCounts[index]! += 1;
    this.#ranks.push(rank);
    this.#classes.push(remembered ? index + rememberedBit : index);
  }

  /** What was added since the last call was a shard. */
  endShard(): void {
    this.shardSizes.push(this.#ranks.length - this.#shardStart);
    this.#shardStart = this.#ranks.length;
  }

  forEach(visit: (classIndex: number, rank: number, remembered: boolean) => void): void {
    for (let i = 0; i < this.#ranks.length; i += 1) {
      const tagged = this.#classes.at(i);
      const remembered = tagged >= rememberedBit;
      visit(remembered ? tagged - rememberedBit : tagged, this.#ranks.at(i), remembered);
    }
  }
}

const blockSize = 2 ** 16;

/** A growing array of 32-bit numbers that is never copied. */
class Uint32Column {
  readonly #blocks: Uint32Array[] = [];
  length = 0;

  push(value: number): void {
    const offset = this.length % blockSize;
    if (offset === 0) this.#blocks.push(new Uint32Array(blockSize));
    this.#blocks.at(-1)![offset] = value;
    this.length += 1;
  }

  at(index: number): number {
    return this.#blocks[Math.floor(index / blockSize)]![index % blockSize]!;
  }
}
