import {
  canonicalJson,
  compareUtf8,
  openStore,
  parseJsonAs,
  readLabelLookup,
  readMarker,
  runKeys,
  sha256Hex,
  shardsPerGram,
  split as splitSchema,
  TrommelError,
  type LabelOf,
  type ListingSummary,
  type ObjectStore,
  type RunConfig,
  type Shard,
  type Split,
} from "@trommel/common";
import { chooseSplit } from "./choose-split.js";
import { readIfThere } from "../run-control/run-state.js";
import type { PlanContext } from "./plan-context.js";
import { isRetryRun, streamRunRetry } from "./stream-run-retry.js";
import { readListing, skipHidden, streamShards, writeListing } from "./stream-shards.js";

/**
 * Plans a training run.
 *
 * In: the labelled prefix. Out: what {@link listDataset} writes, and jobs: each group of shards is queued as soon as it
 * is listed, as children of its gram, itself a child of the waiting solve job.
 * A retry finds the shard files, continues behind them and queues again what may already be queued; jobs that find
 * their marker end at once.
 * @throws TrommelError `missing-input` where the dataset's own normalisation is asked for and was not measured
 */
export async function planRun(config: RunConfig, context: PlanContext): Promise<ListingSummary> {
  const { attempt, store, producer, board } = context;
  if (config.recipe.normalization === "dataset") await readMarker(store, runKeys(config.id).normalization);
  let group: number[] = [];
  let grams = 0;
  let latest: ListedSoFar = { shards: 0, images: 0 };
  const flush = async ({ shards, images }: ListedSoFar): Promise<void> => {
    if (await board.isOver(attempt))
      throw new TrommelError("cancelled", `failed to plan ${config.id}: it is over`);
    await board.setTotal(attempt, "extract", shards, images);
    await board.setTotal(attempt, "gram", grams + 1);
    await producer.addGram(config.id, attempt, grams, group);
    grams += 1;
    group = [];
  };
  const summary = await listDataset(config, context, async (shard, soFar) => {
    latest = soFar;
    group.push(shard.index);
    if (group.length === shardsPerGram) await flush(soFar);
  });
  if (group.length > 0) await flush(latest);
  return summary;
}

/** What a listing has come to: files that are tried again are counted again among the images. */
export type ListedSoFar = Pick<ListingSummary, "shards" | "images">;

/**
 * Lists a labelled prefix into shards.
 *
 * In: the prefix. Out: shard files, the split, and last `listing.json`. A retry finds the shard files and continues
 * behind them; where the listing is complete, nothing is listed any more and the same is written again.
 * @param onShard told of every shard in order, once its file is written
 * @throws TrommelError `bad-dataset` where no picture has a label
 */
export async function listDataset(
  config: RunConfig,
  context: PlanContext,
  onShard: (shard: Shard, soFar: ListedSoFar) => Promise<void>,
): Promise<ListingSummary> {
  const { store } = context;
  const keys = runKeys(config.id);
  const labelOf = await readLabelLookup(store, config);
  const source = openStore(config.dataset, { onNotice: context.onNotice });
  const keysByLabel = new Map<string, string[]>();
  const totals = { shards: 0, images: 0, skipped: 0, sizeBytes: 0 };
  const standing = await readListing(store, keys.listing);
  let tried = 0;
  let retriedFrom: number | undefined;
  try {
    for await (const shard of shardsOf(config, { context, source, labelOf, complete: standing?.shards })) {
      totals.shards += 1;
      tried += shard.entries.length;
      const soFar = { shards: totals.shards, images: tried };
      // Files that are tried again were counted where they are listed.
      if (shard.supersedes !== undefined) {
        retriedFrom ??= shard.index;
        await onShard(shard, soFar);
        continue;
      }
      totals.images += shard.entries.length;
      totals.skipped += shard.skipped.length;
      for (const entry of shard.entries) {
        totals.sizeBytes += entry.sizeBytes;
        addKey(keysByLabel, entry.key, labelOf);
      }
      await onShard(shard, soFar);
    }
  } finally {
    source.close();
  }
  if (totals.images === 0) throw emptyDataset(config, totals.skipped);
  const classes = countClasses(config, keysByLabel);
  await writeSplit(store, config, keysByLabel);
  const summary: ListingSummary = {
    formatVersion: 1,
    listed: totals.images + totals.skipped,
    ...totals,
    ...(retriedFrom === undefined ? {} : { retriedFrom }),
    classes,
  };
  await writeListing(store, keys.listing, summary);
  return summary;
}

function shardsOf(
  config: RunConfig,
  listing: {
    readonly context: PlanContext;
    readonly source: ObjectStore;
    readonly labelOf: LabelOf;
    /** Shards of a listing that is complete. */
    readonly complete: number | undefined;
  },
): AsyncGenerator<Shard> {
  const { context, source, labelOf, complete } = listing;
  if (isRetryRun(config) && complete === undefined) return streamRunRetry(config, context);
  return streamShards({
    source,
    store: context.store,
    complete,
    signal: context.signal,
    shardKey: runKeys(config.id).shard,
    shardSize: config.recipe.shardSize,
    skip: (key) => skipHidden(key) ?? (labelOf(key) === undefined ? "no-label" : undefined),
  });
}

function addKey(keysByLabel: Map<string, string[]>, key: string, labelOf: LabelOf): void {
  const label = labelOf(key);
  if (label === undefined) return;
  const keys = keysByLabel.get(label);
  if (keys === undefined) keysByLabel.set(label, [key]);
  else keys.push(key);
}

/** Images per class in output order. @throws TrommelError `bad-dataset` for a class that came after the list was read */
function countClasses(
  config: RunConfig,
  keysByLabel: ReadonlyMap<string, readonly string[]>,
): NonNullable<ListingSummary["classes"]> {
  const classes = config.labels.classes ?? [...keysByLabel.keys()].sort(compareUtf8);
  const known = new Set(classes);
  const unknown = [...keysByLabel.keys()].filter((label) => !known.has(label));
  if (unknown.length > 0) {
    throw new TrommelError(
      "bad-dataset",
      `failed to list ${config.dataset}: the class list does not know the class ${unknown.map((label) => JSON.stringify(label)).join(", ")}. Add it to the list, or take it out of the dataset`,
      { context: { classes: unknown } },
    );
  }
  return classes.map((label) => ({ label, images: keysByLabel.get(label)?.length ?? 0 }));
}

const neededLabels = {
  folders: "Training needs <prefix>/<class>/<picture>",
  csv: "Training needs the pictures that the CSV file names",
  sidecar: "Training needs pictures with a text file beside each",
} as const;

function emptyDataset({ dataset, recipe }: RunConfig, skipped: number): TrommelError {
  const { type } = recipe.labels.source;
  const without = type === "folders" ? "is in a class folder" : "has a label";
  const files = skipped === 0 ? "it holds no object" : `none of its ${skipped} objects ${without}`;
  return new TrommelError("bad-dataset", `failed to list ${dataset}: ${files}. ${neededLabels[type]}`, {
    context: { dataset },
  });
}

/**
 * Writes the run's split, and its validation keys where later runs on the same dataset find them.
 * A split that is there already stays.
 */
async function writeSplit(
  store: ObjectStore,
  config: RunConfig,
  keysByLabel: ReadonlyMap<string, readonly string[]>,
): Promise<void> {
  const { seed } = config.recipe;
  const { fraction, of } = config.recipe.validation;
  const { split: splitKey } = runKeys(config.id);
  const chosen = await readIfThere(store, splitKey);
  // Labels are no part of it: an image that validated stays out of training when it is labelled anew.
  const memory = `splits/${sha256Hex(canonicalJson({ dataset: config.dataset, seed, fraction, of }))}/`;
  // The try before may have ended between the two. The split of a run that is tried again is that run's.
  if (chosen !== undefined) {
    await store.put(`${memory}${config.id}.json`, chosen, {
      ifAbsent: true,
      contentType: "application/json",
    });
    return;
  }
  const remembered = new Set<string>();
  for await (const { key } of store.list(memory)) {
    const earlier = parseJsonAs(splitSchema, await store.get(key), key);
    for (const validationKey of earlier.validation) remembered.add(validationKey);
  }
  const split: Split = {
    formatVersion: 1,
    seed,
    fraction,
    validation: chooseSplit(keysByLabel, { seed, fraction, of, remembered }),
  };
  const body = Buffer.from(canonicalJson(split), "utf8");
  const once = { ifAbsent: true, contentType: "application/json" };
  const standing = (await store.put(splitKey, body, once)) === "written" ? body : await store.get(splitKey);
  await store.put(`${memory}${config.id}.json`, standing, once);
}
