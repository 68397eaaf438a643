import {
  featureDimension,
  readLabelLookup,
  runKeys,
  seedFrom,
  TrommelError,
  type RunConfig,
} from "@trommel/common";
import { testPart, type FoldSplit, type Standardization } from "@trommel/common/artefacts";
import { standardized } from "../../head/model/ensemble.js";
import type { RowSet } from "../../head/model/row-set.js";
import type { StageContext } from "../context.js";
import { readFeatures } from "../inputs/features.js";
import { readListing, readShard } from "../inputs/listing.js";

/** A view of a labelled image. */
export interface LabelledRow {
  /** Standardised, [dimension]; not to be kept. */
  readonly values: Float32Array;
  readonly label: number;
  readonly view: number;
  readonly shard: number;
  readonly position: number;
  readonly key: string;
  /** The fold of its image, or `testPart`. */
  readonly part: number;
}

/** The rows of a run with `head: auto`, shard by shard. */
export class FoldRows {
  readonly labels: readonly string[];
  readonly dimension: number;
  readonly #config: RunConfig;
  readonly #split: FoldSplit;
  readonly #standardization: Standardization;
  readonly #context: StageContext;
  readonly #shards: number;
  readonly #labelOf: (key: string) => number | undefined;

  private constructor(options: {
    readonly config: RunConfig;
    readonly split: FoldSplit;
    readonly standardization: Standardization;
    readonly context: StageContext;
    readonly shards: number;
    readonly labels: readonly string[];
    readonly labelOf: (key: string) => string | undefined;
  }) {
    const { config, labels, labelOf } = options;
    this.labels = labels;
    this.dimension = featureDimension(config);
    this.#config = config;
    this.#split = options.split;
    this.#standardization = options.standardization;
    this.#context = options.context;
    this.#shards = options.shards;
    const indexOf = new Map(labels.map((label, index) => [label, index]));
    this.#labelOf = (key) => indexOf.get(labelOf(key) ?? "");
  }

  static async open(
    config: RunConfig,
    split: FoldSplit,
    standardization: Standardization,
    context: StageContext,
  ): Promise<FoldRows> {
    const { store } = context;
    const { shards, classes = [] } = await readListing(store, runKeys(config.id).listing);
    const labelOf = await readLabelLookup(store, config);
    const labels = classes.map(({ label }) => label);
    return new FoldRows({ config, split, standardization, context, shards, labels, labelOf });
  }

  /** Every row of every image that belongs to a fold or to the test part, in order of shard, image and view. */
  async *each(): AsyncGenerator<LabelledRow> {
    const { store, signal } = this.#context;
    const { dimension } = this;
    for (let index = 0; index < this.#shards; index += 1) {
      signal.throwIfAborted();
      const shard = await readShard(store, runKeys(this.#config.id).shard(index));
      const { features, image, view } = await readFeatures(store, this.#config, shard);
      const rows = standardized(features, this.#standardization);
      const parts = this.#split.parts[index] ?? [];
      for (const [row, position] of image.entries()) {
        const part = parts[position];
        if (part === undefined || (part < 0 && part !== testPart)) continue;
        const key = shard.entries[position]?.key ?? "";
        const label = this.#labelOf(key);
        if (label === undefined)
          throw new TrommelError(
            "corrupt",
            `cannot join labels: row ${row} of shard ${index} has no labelled key`,
          );
        const values = rows.subarray(row * dimension, (row + 1) * dimension);
        yield { values, label, view: view[row] as number, shard: index, position, key, part };
      }
    }
  }

  /**
   * Every view of the images that a filter keeps, at most about as many rows as the recipe allows.
   * @param sample what is drawn above that bound: single rows, or images with all their views
   */
  async collect(
    keep: (row: LabelledRow) => boolean,
    rowsAtMost: number,
    sample: "rows" | "images" = "rows",
  ): Promise<RowSet & { readonly parts: Int32Array }> {
    const bound = await this.#sampling(rowsAtMost, sample);
    const parts: number[] = [];
    let features = new Float32Array(1024 * this.dimension);
    const labels: number[] = [];
    for await (const row of this.each()) {
      if (!keep(row) || !bound(row)) continue;
      const at = labels.length * this.dimension;
      if (at === features.length) {
        const larger = new Float32Array(2 * features.length);
        larger.set(features);
        features = larger;
      }
      features.set(row.values, at);
      labels.push(row.label);
      parts.push(row.part);
    }
    return {
      features: features.subarray(0, labels.length * this.dimension),
      labels: Int32Array.from(labels),
      parts: Int32Array.from(parts),
    };
  }

  /** Above the bound a seeded sample is taken. */
  async #sampling(rowsAtMost: number, sample: "rows" | "images"): Promise<(row: LabelledRow) => boolean> {
    const { images } = await readListing(this.#context.store, runKeys(this.#config.id).listing);
    const { views, seed } = this.#config.recipe;
    const share = rowsAtMost / (images * views.count);
    if (share >= 1) return () => true;
    return ({ key, view }) => hashShare("row sample", seed, key, sample === "rows" ? view : 0) < share;
  }
}

/** A number from 0 up to 1, from the texts and numbers alone. */
export function hashShare(...of: readonly (string | number)[]): number {
  return (seedFrom(...of) >>> 0) / 2 ** 32;
}
