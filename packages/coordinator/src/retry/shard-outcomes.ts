import {
  featureShardKey,
  findMarker,
  openStore,
  readMarker,
  runKeys,
  type ObjectStore,
  type Shard,
} from "@trommel/common";
import {
  findShard,
  outcomeMarker,
  parseShard,
  readGeneration,
  resolveRunFeatures,
  RetriedImages,
  type ScoringGeneration,
  type ShardOutcome,
  type ShardSpan,
} from "@trommel/common/artefacts";
import { range, readAhead, readBounds } from "@trommel/common/store";
import type { ListingSubject } from "../run-control/subject.js";

/** Shards whose small files are read at once. */
export const shardsReadAtOnce = 16;

/** What became of the shards of a run or scoring, from their markers. */
export class ShardOutcomes {
  readonly #store: ObjectStore;
  readonly #shardKey: (index: number) => string;
  /** The last generation of a scoring; undefined for a run. */
  readonly generation: ScoringGeneration | undefined;
  readonly #markerOf: (shard: Shard) => { readonly store: ObjectStore; readonly key: string };
  readonly #output: ObjectStore | undefined;

  private constructor(
    store: ObjectStore,
    shardKey: (index: number) => string,
    markerOf: (shard: Shard) => { readonly store: ObjectStore; readonly key: string },
    of: { readonly output?: ObjectStore; readonly generation?: ScoringGeneration } = {},
  ) {
    this.#store = store;
    this.#shardKey = shardKey;
    this.#markerOf = markerOf;
    this.#output = of.output;
    this.generation = of.generation;
  }

  /** @throws TrommelError `missing-input` for a run whose dataset's pixels are still being measured */
  static async open(store: ObjectStore, subject: ListingSubject): Promise<ShardOutcomes> {
    if (subject.kind === "run") {
      const { fingerprint } = await resolveRunFeatures(store, subject.config);
      const { shard } = runKeys(subject.id);
      return new ShardOutcomes(store, shard, ({ hash }) => ({
        store,
        key: featureShardKey(fingerprint, hash),
      }));
    }
    const output = openStore(subject.config.output);
    const generation = await readGeneration(store, subject.id);
    const markerOf = ({ index }: Shard) => ({ store: output, key: generation.partKey(index, "jsonl") });
    const shardKey = (index: number): string => generation.shardKey(index);
    return new ShardOutcomes(store, shardKey, markerOf, { output, generation });
  }

  /** @throws TrommelError `not-found` */
  async shard(index: number): Promise<Shard> {
    const key = this.#shardKey(index);
    return this.#counted(index, parseShard(await this.#store.get(key, readBounds.dataset), key));
  }

  /** Undefined if the listing has not reached the shard yet. */
  async findShard(index: number): Promise<Shard | undefined> {
    const found = await findShard(this.#store, this.#shardKey(index));
    return found === undefined ? undefined : this.#counted(index, found);
  }

  /** The first shard that is not of an earlier generation. */
  get firstOwn(): number {
    return this.generation?.base.length ?? 0;
  }

  #counted(index: number, shard: Shard): Shard {
    return this.generation?.shardOf(index, shard) ?? shard;
  }

  /** @throws TrommelError `missing-input` if the shard is not done */
  async outcome(shard: Shard): Promise<ShardOutcome> {
    const { store, key } = this.#markerOf(shard);
    return readMarker(store, key, outcomeMarker);
  }

  async findOutcome(shard: Shard): Promise<ShardOutcome | undefined> {
    const { store, key } = this.#markerOf(shard);
    return findMarker(store, key, outcomeMarker);
  }

  /** The images that the span's own retries try again. Shards that are not done are left out: nothing is known about them yet. */
  async retriedImages(span: Pick<ShardSpan, "retriedFrom" | "shards">): Promise<RetriedImages> {
    const retried = new RetriedImages();
    for await (const { shard, outcome } of readAhead(
      range(span.retriedFrom, span.shards),
      shardsReadAtOnce,
      async (index) => {
        const read = await this.shard(index);
        return { shard: read, outcome: await this.findOutcome(read) };
      },
    )) {
      if (outcome !== undefined) retried.add(shard, outcome.failed);
    }
    return retried;
  }

  close(): void {
    this.#output?.close();
  }
}
