/** Positions in each shard, all of them in one array: there may be a million, in tens of thousands of shards. */
export class ShardPositions implements Iterable<Uint32Array> {
  readonly #all: Uint32Array;
  /** The end of each shard's positions. */
  readonly #ends: readonly number[];

  constructor(all: Uint32Array, ends: readonly number[]) {
    this.#all = all;
    this.#ends = ends;
  }

  /** Shards. */
  get length(): number {
    return this.#ends.length;
  }

  at(shard: number): Uint32Array {
    return this.#all.subarray(this.#ends[shard - 1] ?? 0, this.#ends[shard]);
  }

  *[Symbol.iterator](): Generator<Uint32Array> {
    for (let shard = 0; shard < this.length; shard += 1) yield this.at(shard);
  }
}
