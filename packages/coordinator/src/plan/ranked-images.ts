/**
 * The labelled images of a listing, in its order, as what the split is chosen by: six bytes each (eight where there are
 * more than 32,768 classes), so that ten million of them take 60 MB, and no key.
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
  readonly #ranks = new Column();
  /** Twice the class's index, and one more for remembered images. */
  readonly #classes = new Column();
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
    this.#classes.push(2 * index + (remembered ? 1 : 0));
  }

  /** What was added since the last call was a shard. */
  endShard(): void {
    this.shardSizes.push(this.#ranks.length - this.#shardStart);
    this.#shardStart = this.#ranks.length;
  }

  forEach(visit: (classIndex: number, rank: number, remembered: boolean) => void): void {
    const classes = this.#classes.blocks;
    for (const [block, ranks] of this.#ranks.blocks.entries()) {
      const tags = classes[block]!;
      const end = Math.min(blockSize, this.#ranks.length - block * blockSize);
      for (let i = 0; i < end; i += 1) visit(tags[i]! >>> 1, ranks[i]!, (tags[i]! & 1) === 1);
    }
  }
}

const blockSize = 2 ** 16;
const shortEnd = 2 ** 16;

/** A growing array of 32-bit numbers that is never copied. Blocks of small numbers take two bytes each. */
class Column {
  readonly blocks: (Uint16Array | Uint32Array)[] = [];
  length = 0;

  push(value: number): void {
    const offset = this.length % blockSize;
    if (offset === 0) this.blocks.push(new (value < shortEnd ? Uint16Array : Uint32Array)(blockSize));
    let block = this.blocks.at(-1)!;
    if (value >= shortEnd && block instanceof Uint16Array) {
      block = Uint32Array.from(block);
      this.blocks[this.blocks.length - 1] = block;
    }
    block[offset] = value;
    this.length += 1;
  }
}
