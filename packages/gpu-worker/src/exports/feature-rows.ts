import {
  featureShardKey,
  featureShardMarker,
  runKeys,
  TrommelError,
  type ObjectStore,
  type Shard,
} from "@trommel/common";
import type { ResolvedRun } from "@trommel/common/artefacts";
import { readInputMarker, unlessMissing } from "@trommel/common/codec";
import { range, readAhead } from "@trommel/common/store";
import { readShardFeatures } from "../stages/inputs/features.js";
import { readShard } from "../stages/inputs/listing.js";
import type { z } from "zod";

/** Feature shards in memory at once: the next is read while one is written. */
const shardsAtOnce = 2;
/** Markers that are read at once. */
const markersAtOnce = 16;

/** The image and the view of each stored row of a shard. */
export interface RowNames {
  /** [rows]: the keys of the images. */
  readonly keys: readonly string[];
  /** [rows]: 0 is the image itself. */
  readonly views: Uint8Array;
}

/** The stored features of a shard. */
export interface FeatureRows extends RowNames {
  /** [rows, dimension] */
  readonly features: Float32Array;
}

/** What a run has stored, in the order of its listing. */
export class StoredFeatures {
  readonly #store: ObjectStore;
  readonly #run: ResolvedRun;
  readonly #shards: number;
  readonly #signal: AbortSignal;

  constructor(
    store: ObjectStore,
    run: ResolvedRun,
    of: { readonly shards: number; readonly signal: AbortSignal },
  ) {
    this.#store = store;
    this.#run = run;
    this.#shards = of.shards;
    this.#signal = of.signal;
  }

  /**
   * The number of rows, from the markers alone.
   * @throws TrommelError `missing-input` naming the first shard without features
   */
  async count(): Promise<number> {
    let rows = 0;
    const markers = this.#read(markersAtOnce, async (shard) => {
      const marker = await unlessMissing(this.#marker(shard));
      return { index: shard.index, rows: marker?.rows };
    });
    for await (const shard of markers) {
      if (shard.rows === undefined) throw notStored(this.#run.id, shard.index);
      rows += shard.rows;
    }
    return rows;
  }

  /** @throws TrommelError as {@link count} */
  async *rows(): AsyncGenerator<FeatureRows> {
    yield* this.#read(shardsAtOnce, async (shard) => {
      const { features } = await readShardFeatures(this.#store, this.#run, shard);
      const keys = Array.from(features.image, (position) => shard.entries[position]?.key ?? "");
      return { keys, views: features.view, features: features.features };
    });
  }

  /**
   * The image and view of each row that {@link rows} gives, without its features: a shard has every view of each image that did not
   * fail, which reading its features checks.
   * @throws TrommelError as {@link count}
   */
  async *names(): AsyncGenerator<RowNames> {
    const { count } = this.#run.recipe.views;
    yield* this.#read(markersAtOnce, async (shard) => {
      const { failed: images } = await this.#marker(shard);
      const failed = new Set(images.map(({ position }) => position));
      const keys = shard.entries.flatMap(({ key }, position) =>
        failed.has(position) ? [] : Array.from({ length: count }, () => key),
      );
      return { keys, views: Uint8Array.from(keys, (_, row) => row % count) };
    });
  }

  async #marker({ hash }: Shard): Promise<z.infer<typeof featureShardMarker>> {
    return readInputMarker(this.#store, featureShardKey(this.#run.fingerprint, hash), featureShardMarker);
  }

  #read<Read>(atOnce: number, read: (shard: Shard) => Promise<Read>): AsyncGenerator<Read> {
    return readAhead(range(0, this.#shards), atOnce, async (index) => {
      this.#signal.throwIfAborted();
      return read(await readShard(this.#store, runKeys(this.#run.id).shard(index)));
    });
  }
}

function notStored(run: string, shard: number): TrommelError {
  return new TrommelError(
    "missing-input",
    `cannot export the features of ${run}: the store has none of its shard ${shard}. Wait until the run has extracted them ('trommel status ${run}'), or train again under another id if they were removed`,
    { context: { run, shard } },
  );
}
