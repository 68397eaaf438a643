import { openStore, runKeys, type ObjectStore, type ScoringConfig } from "@trommel/common";
import { findListing } from "@trommel/common/artefacts";
import { scoreProbes } from "@trommel/common/jobs";
import { countRescored, isRescoring, rescoredSource } from "../generations/rescored-source.js";
import { KeyFilter } from "../listing/key-filter.js";
import { chooseSampleUnstored } from "../plan/choose-sample.js";
import { whySkipped } from "../plan/stream-shards.js";
import type { JobProducer } from "../run-control/queueing/job-producer.js";
import { keysOnly } from "../sources/image-source.js";
import { openSource, placeOf } from "../sources/open-source.js";
import { askWorkers } from "../step-time/ask-workers.js";
import { lastMeasured } from "./last-measured.js";
import { ProbedImages } from "./probed-images.js";

/** What a scoring would work on, and how long it may take. */
export interface ScoringForecast {
  readonly id: string;
  /** Images that it would score. */
  readonly images: number;
  /** Their size together. */
  readonly sizeBytes: number;
  /** Objects that it would skip; behind a limit nothing is counted. */
  readonly skipped: number;
  readonly shards: number;
  /** Images of a manifest that do not exist and would fail: how many, and the first of them; null without one. */
  readonly missing: { readonly images: number; readonly first: string } | null;
  /** Workers that serve the queue of scoring now; null without a Redis, and if that does not say. */
  readonly workers: number | null;
  /** Null if no rate is known. */
  readonly estimate: {
    /** The last finished scoring by the same model; null if a worker has scored some of the images to measure. */
    readonly from: string | null;
    /** Workers that the rate is of; null for those that the scoring `from` had. */
    readonly workers: number | null;
    readonly imagesPerSecond: number;
    readonly seconds: number;
  } | null;
  /** Why there is no estimate; null if there is one. */
  readonly estimateUnknown: string | null;
}

/** The workers that are counted, and asked. */
export interface ForecastWorkers {
  /** The cluster, whose workers are counted; undefined without one. */
  readonly producer: Pick<JobProducer, "workersOf"> | undefined;
  /** Called if no rate is known: a worker is asked. */
  readonly openProducer: () => Promise<JobProducer>;
}

/**
 * What a resolved scoring would work on, by listing its source. Nothing is written to the store.
 * @throws TrommelError what a worker says that cannot score the images
 */
export async function forecastScoring(
  store: ObjectStore,
  config: ScoringConfig,
  signal: AbortSignal,
  workers: ForecastWorkers,
): Promise<ScoringForecast> {
  const { featuresOf } = config;
  const { probed, ...counts } = await (featuresOf !== undefined
    ? countStored(store, featuresOf.run)
    : isRescoring(config)
      ? countRescoring(store, config, signal)
      : countListed(config, signal));
  const shards = Math.ceil(counts.images / config.shardSize);
  return {
    ...{ id: config.id, missing: null, ...counts, shards },
    workers: (await workers.producer?.workersOf("score").catch(() => null)) ?? null,
    ...(await estimateOf(store, config, { ...counts, shards, probed }, workers)),
  };
}

interface Counts {
  readonly images: number;
  readonly sizeBytes: number;
  readonly skipped: number;
  readonly missing?: NonNullable<ScoringForecast["missing"]>;
  /** What a worker may try of them; none for stored features. */
  readonly probed: ProbedImages;
}

/** The time by the last scoring of the same model, or else by what a worker measures now. */
async function estimateOf(
  store: ObjectStore,
  config: ScoringConfig,
  { images, shards, probed }: Pick<Counts, "images" | "probed"> & { readonly shards: number },
  { openProducer }: ForecastWorkers,
): Promise<Pick<ScoringForecast, "estimate" | "estimateUnknown">> {
  const last = await lastMeasured(store, config);
  if (last !== undefined) {
    const { id: from, imagesPerSecond, startSeconds } = last;
    const seconds = Math.ceil(startSeconds + images / imagesPerSecond);
    return { estimate: { from, workers: null, imagesPerSecond, seconds }, estimateUnknown: null };
  }
  const { entries } = probed;
  if (entries.length === 0) {
    const why =
      config.featuresOf === undefined
        ? "there is nothing to score"
        : "no scoring of stored features by this model is finished in this store";
    return { estimate: null, estimateUnknown: why };
  }
  const asked = await askWorkers(openProducer, scoreProbes, (untilMs) => ({
    ...{ storeUrl: store.url, untilMs, entries },
    ...{ source: config.source, bundle: config.bundle },
  }));
  if ("unknown" in asked) return { estimate: null, estimateUnknown: asked.unknown };
  const { startMs, imageMs } = asked.times;
  const workers = Math.min(asked.workers, shards);
  const imagesPerSecond = (1000 / imageMs) * workers;
  const seconds = Math.ceil(startMs / 1000 + images / imagesPerSecond);
  return { estimate: { from: null, workers, imagesPerSecond, seconds }, estimateUnknown: null };
}

/** The images of a run whose features are scored: none of them is read. */
async function countStored(store: ObjectStore, run: string): Promise<Counts> {
  const listing = await findListing(store, runKeys(run).listing);
  const { images = 0, skipped = 0 } = listing ?? {};
  return { images, sizeBytes: 0, skipped, probed: new ProbedImages() };
}

/** A worker tries the first ones: all of them would have to be read to draw among them. */
async function countRescoring(
  store: ObjectStore,
  config: Parameters<typeof countRescored>[1] & ScoringConfig,
  signal: AbortSignal,
): Promise<Counts> {
  const probed = new ProbedImages();
  for await (const image of rescoredSource(store, config, signal).list("")) {
    probed.add(image);
    if (probed.isFull) break;
  }
  return { ...(await countRescored(store, config)), probed };
}

async function countListed(config: ScoringConfig, signal: AbortSignal): Promise<Counts> {
  const filter = new KeyFilter(config);
  const source = openSource(placeOf(config), openStore);
  const counts = { images: 0, sizeBytes: 0, skipped: 0, probed: new ProbedImages() };
  const missing = { images: 0, first: "" };
  try {
    const skip = (key: string) => filter.skip(key);
    const sample = await chooseSampleUnstored(config, { source: keysOnly(source), signal, skip });
    for await (const object of source.list("", { withUnusable: true })) {
      signal.throwIfAborted();
      if (whySkipped(object, (key) => skip(key) ?? sample.skip(key)) !== undefined) {
        counts.skipped += 1;
        continue;
      }
      counts.images += 1;
      counts.sizeBytes += object.sizeBytes;
      if (object.etag === "" && object.sizeBytes === 0) {
        if (missing.images === 0) missing.first = object.key;
        missing.images += 1;
      } else {
        counts.probed.add(object);
      }
      if (counts.images === config.limit) break;
    }
  } finally {
    source.close();
  }
  return { ...counts, ...(missing.images === 0 ? {} : { missing }) };
}
