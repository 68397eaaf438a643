import { runKeys, TrommelError, type ObjectStore, type Shard, type ShardEntry } from "@trommel/common";
import { findShard, readGeneration, type ImagePlace } from "@trommel/common/artefacts";
import { range, readAhead } from "@trommel/common/store";
import type { Subject } from "@trommel/coordinator/run-control";

/** Shards of a listing that are read at once. */
const shardsAtOnce = 8;

/** The listed images of a run or scoring. */
export class ListedEntries {
  readonly #store: ObjectStore;
  readonly #shardKey: (index: number) => string;

  private constructor(store: ObjectStore, shardKey: (index: number) => string) {
    this.#store = store;
    this.#shardKey = shardKey;
  }

  /** @throws TrommelError `invalid-argument` for a sorting, which lists nothing */
  static async open(store: ObjectStore, { kind, id }: Pick<Subject, "kind" | "id">): Promise<ListedEntries> {
    if (kind === "run") return new ListedEntries(store, runKeys(id).shard);
    if (kind === "sorting")
      throw new TrommelError(
        "invalid-argument",
        `cannot look up images of ${id}: it is a sorting, and lists none. Ask its scoring`,
      );
    const generation = await readGeneration(store, id);
    return new ListedEntries(store, (index) => generation.shardKey(index));
  }

  /** @throws TrommelError `not-found` if the shard lists no image of that key */
  async entryIn(shard: number, key: string): Promise<ShardEntry> {
    const found = await findShard(this.#store, this.#shardKey(shard));
    const entry = found?.entries.find((one) => one.key === key);
    if (entry !== undefined) return entry;
    throw new TrommelError(
      "not-found",
      `cannot find ${JSON.stringify(key)}: ${this.#shardKey(shard)} lists no such image. Check key and shard`,
    );
  }

  /**
   * The keys of images, in their order.
   * @throws TrommelError `corrupt` if the listing does not have one of them
   */
  async keysAt(places: readonly ImagePlace[]): Promise<string[]> {
    const keys: string[] = places.map(() => "");
    const indices = [...new Set(places.map(({ shard }) => shard))];
    const read = async (index: number) => ({
      index,
      shard: await findShard(this.#store, this.#shardKey(index)),
    });
    for await (const { index, shard } of readAhead(indices, shardsAtOnce, read))
      for (const [row, place] of places.entries()) {
        if (place.shard !== index) continue;
        const key = shard?.entries[place.position]?.key;
        if (key === undefined)
          throw new TrommelError(
            "corrupt",
            `cannot name an image: ${this.#shardKey(index)} has no position ${place.position}. Put it back from a copy`,
          );
        keys[row] = key;
      }
    return keys;
  }

  /** All shards in order, a few of them in memory. */
  async *shards(signal: AbortSignal): AsyncGenerator<Shard> {
    const read = (index: number) => findShard(this.#store, this.#shardKey(index));
    for await (const shard of readAhead(range(0), shardsAtOnce, read)) {
      signal.throwIfAborted();
      if (shard === undefined) return;
      yield shard;
    }
  }
}
