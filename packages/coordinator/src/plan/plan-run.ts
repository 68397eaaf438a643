import {
  compareUtf8,
  readLabelLookup,
  runKeys,
  shardsPerGram,
  TrommelError,
  type LabelOf,
  type ListingSummary,
  type RunConfig,
  type Shard,
} from "@trommel/common";
import { GroupCount } from "./split/group-count.js";
import { checkClasses } from "./split/check-classes.js";
import { chooseSplit, splitRank } from "./split/choose-split.js";
import type { PlanContext } from "./plan-context.js";
import { RankedImages, sides } from "./split/ranked-images.js";
import { SplitSides } from "./split/split-sides.js";
import { feedShards, numbersFrom, type ListedSoFar } from "./feed/shard-feeder.js";
import { copyShards, isRetryRun, streamRunRetry } from "../retry/stream-run-retry.js";
import { KeyFilter, type Skip } from "../listing/key-filter.js";
import { countLeftOut, ListingTotals } from "../listing/listing-totals.js";
import { refuseLookAlikeClasses } from "../listing/odd-classes.js";
import type { ImageSource } from "../sources/image-source.js";
import { openSource, placeOf } from "../sources/open-source.js";
import { streamShards, writeListing } from "./stream-shards.js";
import { extendSplit, writeSplit } from "./split/write-split.js";
import { findListing, ownNormalization, readDivision, untunedOf } from "@trommel/common/artefacts";
import { checkClassWeights, isAuto, testShare } from "@trommel/common/recipe";

/**
 * Plans a training run.
 *
 * In: the labelled prefix. Out: what {@link listDataset} writes, and jobs: each group of shards is queued as soon as it
 * is listed and there is room for it, as children of its gram, itself a child of the waiting solve job.
 * A retry finds the shard files, continues after them and queues again what may already be queued; jobs that find
 * their marker end at once.
 * @throws TrommelError `missing-input` if the recipe uses the dataset's own normalisation and it was not measured
 */
export async function planRun(config: RunConfig, context: PlanContext): Promise<ListingSummary> {
  const { attempt, store, producer, liveRun } = context;
  const { id } = config;
  if (config.recipe.normalization === "dataset") await ownNormalization(store, config);
  const feed = feedShards(context, {
    id,
    stage: "extract",
    cancelledKey: runKeys(id).cancelled,
    unit: shardsPerGram,
    firstAlone: false,
    announce: async ({ shards, images }) => {
      await liveRun.setTotal(attempt, "extract", shards, images);
      await liveRun.setTotal(attempt, "gram", Math.ceil(shards / shardsPerGram));
    },
    add: async (start, end) => {
      const cost = await context.costOf("extract");
      const group = start / shardsPerGram;
      await producer.addGroup("extract", id, attempt, group, numbersFrom(start, end), cost);
    },
  });
  const summary = await listDataset(config, context, (_, soFar) => feed.listed(soFar));
  await feed.finish();
  return summary;
}

/**
 * Lists a labelled prefix into shards.
 *
 * In: the prefix. Out: shard files, the split unless the head is `auto`, whose images are divided once they were read, and last
 * `listing.json`. A retry finds the shard files and continues
 * after them; if the listing is complete, nothing is listed again and the same bytes are written. It holds eight bytes per
 * image, and the labels that their source needs.
 * @param onShard called with every shard in order, once its file is written
 * @throws TrommelError `bad-dataset` if no image has a label, or none has a group by its key though the recipe wants that
 */
export async function listDataset(
  config: RunConfig,
  context: PlanContext,
  onShard: (shard: Shard, soFar: ListedSoFar) => Promise<void>,
): Promise<ListingSummary> {
  const { store } = context;
  const keys = runKeys(config.id);
  const labelOf = await readLabelLookup(store, config);
  const source = openSource(placeOf(config), context.openSource, { onNotice: context.onNotice });
  const ranked = new RankedImages();
  const isValidated = !isAuto(config.recipe);
  const division = await readDivision(store, config);
  const known = isValidated ? await SplitSides.read(store, config, division) : undefined;
  const grouped = new GroupCount(division);
  const filter = new KeyFilter(config.recipe);
  const totals = new ListingTotals(filter);
  const existing = await findListing(store, keys.listing);
  let tried = 0;
  let retriedFrom: number | undefined;
  const triedAgain: Shard[] = [];
  try {
    for await (const shard of shardsOf(config, {
      context,
      source,
      filter,
      labelOf,
      complete: existing?.shards,
    })) {
      totals.shards += 1;
      tried += shard.entries.length;
      const soFar = { shards: totals.shards, images: tried };
      // Retried files were already counted in their first listing.
      if (shard.supersedes !== undefined) {
        retriedFrom ??= shard.index;
        triedAgain.push(shard);
        ranked.endShard();
        await onShard(shard, soFar);
        continue;
      }
      totals.add(shard);
      for (const entry of shard.entries) {
        const label = labelOf(entry.key);
        if (label === undefined) throw unlabelled(config.id, shard.index, entry.key);
        const rank = splitRank(config.recipe.seed, grouped.groupOf(entry.key));
        ranked.add(label, rank, (await known?.sideOf(entry.key)) ?? sides.open);
      }
      ranked.endShard();
      await onShard(shard, soFar);
    }
  } finally {
    source.close();
  }
  if (totals.images === 0) throw emptyDataset(config, totals.summary());
  const classes = countClasses(config, ranked);
  if (existing === undefined && config.recipe.labels.lookAlikes === "refuse")
    refuseLookAlikeClasses(config.dataset, classes);
  // Known classes are checked where the run is resolved; folders tell them only now, before hours of extraction.
  checkClassWeights(
    config.recipe,
    classes.map(({ label }) => label),
  );
  if (!isRetryRun(config)) grouped.check(config.recipe);
  if (known === undefined) {
    checkClasses(ranked.labels, ranked.counts, { isFolded: true });
  } else if (isRetryRun(config)) {
    await extendSplit(store, config, triedAgain, known.memories);
  } else {
    const { validation, split } = config.recipe;
    const chosen = chooseSplit(ranked, { ...validation, test: testShare(split) });
    ranked.forget();
    await writeSplit(store, config, chosen, known.memories);
  }
  const summary: ListingSummary = {
    ...totals.summary(),
    ...(retriedFrom === undefined ? {} : { retriedFrom }),
    classes,
  };
  await writeListing(store, keys.listing, summary);
  return summary;
}

const noLabel: Skip = { reason: "no-label" };

function shardsOf(
  config: RunConfig,
  listing: {
    readonly context: PlanContext;
    readonly source: ImageSource;
    readonly filter: KeyFilter;
    readonly labelOf: LabelOf;
    /** The number of shards of a complete listing. */
    readonly complete: number | undefined;
  },
): AsyncGenerator<Shard> {
  const { context, source, filter, labelOf, complete } = listing;
  if (isRetryRun(config) && complete === undefined) return streamRunRetry(config, context);
  const untuned = untunedOf(config);
  if (untuned !== undefined && complete === undefined) return tunedShards(config, untuned, context);
  return streamShards({
    source,
    store: context.store,
    complete,
    signal: context.signal,
    shardKey: runKeys(config.id).shard,
    shardSize: config.recipe.shardSize,
    skip: (key) => filter.skip(key) ?? (labelOf(key) === undefined ? noLabel : undefined),
  });
}

/** The images of a run that tunes are those of the run without tuning, whatever the prefix has become. */
async function* tunedShards(config: RunConfig, untuned: string, context: PlanContext): AsyncGenerator<Shard> {
  const listing = await findListing(context.store, runKeys(untuned).listing);
  if (listing === undefined)
    throw new TrommelError(
      "missing-input",
      `cannot plan ${config.id}: ${untuned}, which it follows, is not listed`,
    );
  yield* copyShards(config.id, { run: untuned, shards: listing.shards }, runKeys(config.id).shard, context);
}

/** Images per class in output order. @throws TrommelError `bad-dataset` for a class that came after the list was read */
function countClasses(
  config: RunConfig,
  { labels, counts }: RankedImages,
): NonNullable<ListingSummary["classes"]> {
  const classes = config.labels.classes ?? [...labels].sort(compareUtf8);
  const known = new Set(classes);
  const unknown = labels.filter((label) => !known.has(label));
  if (unknown.length > 0) {
    throw new TrommelError(
      "bad-dataset",
      `cannot list ${config.dataset}: the class list does not know the class ${unknown.map((label) => JSON.stringify(label)).join(", ")}. Add it to the list, or take it out of the dataset`,
      { context: { classes: unknown } },
    );
  }
  const images = new Map(labels.map((label, index) => [label, counts[index] ?? 0]));
  return classes.map((label) => ({ label, images: images.get(label) ?? 0 }));
}

/** Labels are frozen with the run, so only a shard file of another run can hold such an image. */
function unlabelled(id: string, shard: number, key: string): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot plan ${id}: shard ${shard} holds ${JSON.stringify(key)}, which has no label. Train again under another id (--run)`,
    { context: { key, shard } },
  );
}

const neededLabels = {
  folders: "Training needs <prefix>/<class>/<picture>",
  csv: "Training needs the pictures that the CSV file names",
  sidecar: "Training needs pictures with a text file for each",
} as const;

function emptyDataset({ dataset, recipe }: RunConfig, summary: ListingSummary): TrommelError {
  const { type } = recipe.labels.source;
  const { skipped } = summary;
  const leftOut = countLeftOut(summary);
  const byPatterns = leftOut === 0 ? "" : ` (include and exclude left ${leftOut} out)`;
  const without = type === "folders" ? "is in a class folder" : "has a label";
  const files =
    skipped === 0 ? "it holds no object" : `none of its ${skipped} objects ${without}${byPatterns}`;
  return new TrommelError("bad-dataset", `cannot list ${dataset}: ${files}. ${neededLabels[type]}`, {
    context: { dataset },
  });
}
