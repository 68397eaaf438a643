import {
  openStore,
  outputKeys,
  runKeys,
  scoringKeys,
  type ObjectStore,
  type ScoringConfig,
} from "@trommel/common";
import { findListing } from "@trommel/common/artefacts";
import { markerKeyOf } from "@trommel/common/codec";
import { countRescored, isRescoring } from "../generations/rescored-source.js";
import { KeyFilter } from "../listing/key-filter.js";
import { chooseSampleUnstored } from "../plan/choose-sample.js";
import { whySkipped } from "../plan/stream-shards.js";
import { keysOnly } from "../sources/image-source.js";
import { openSource, placeOf } from "../sources/open-source.js";
import { listSubjects } from "../run-control/list-subjects.js";
import type { JobProducer } from "../run-control/job-producer.js";
import { findSubject } from "../run-control/subject.js";

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
  /** Null if this store has no finished scoring by the same model to go by. */
  readonly estimate: {
    /** The last finished scoring by the same model, whose workers are taken to be those of this one. */
    readonly from: string;
    readonly imagesPerSecond: number;
    readonly seconds: number;
  } | null;
}

/**
 * What a resolved scoring would work on, by listing its source. Nothing is written.
 * @param producer where the workers present are counted
 */
export async function forecastScoring(
  store: ObjectStore,
  config: ScoringConfig,
  signal: AbortSignal,
  producer?: Pick<JobProducer, "workersOf">,
): Promise<ScoringForecast> {
  const { featuresOf } = config;
  const counts = await (featuresOf !== undefined
    ? countStored(store, featuresOf.run)
    : isRescoring(config)
      ? countRescored(store, config)
      : countListed(config, signal));
  const { images } = counts;
  const last = await lastMeasured(store, config);
  const estimate =
    last === undefined
      ? null
      : {
          from: last.id,
          imagesPerSecond: last.imagesPerSecond,
          seconds: Math.ceil(last.startSeconds + images / last.imagesPerSecond),
        };
  const workers = (await producer?.workersOf("score").catch(() => null)) ?? null;
  return {
    id: config.id,
    missing: null,
    ...counts,
    shards: Math.ceil(images / config.shardSize),
    workers,
    estimate,
  };
}

interface Counts {
  readonly images: number;
  readonly sizeBytes: number;
  readonly skipped: number;
  readonly missing?: NonNullable<ScoringForecast["missing"]>;
}

/** The images of a run whose features are scored: none of them is read. */
async function countStored(store: ObjectStore, run: string): Promise<Counts> {
  const listing = await findListing(store, runKeys(run).listing);
  return { images: listing?.images ?? 0, sizeBytes: 0, skipped: listing?.skipped ?? 0 };
}

async function countListed(config: ScoringConfig, signal: AbortSignal): Promise<Counts> {
  const filter = new KeyFilter(config);
  const source = openSource(placeOf(config), openStore);
  const counts = { images: 0, sizeBytes: 0, skipped: 0 };
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
      }
      if (counts.images === config.limit) break;
    }
  } finally {
    source.close();
  }
  return { ...counts, ...(missing.images === 0 ? {} : { missing }) };
}

interface Measured {
  readonly id: string;
  readonly endedSeconds: number;
  /** From the start to the first shard's scores. */
  readonly startSeconds: number;
  readonly imagesPerSecond: number;
}

/** The scoring by the same model, of pictures or of features as this one, that ended last. */
async function lastMeasured(store: ObjectStore, config: ScoringConfig): Promise<Measured | undefined> {
  let last: Measured | undefined;
  for (const { kind, id } of await listSubjects(store)) {
    if (kind !== "scoring" || id === config.id) continue;
    const subject = await findSubject(store, id).catch(() => undefined);
    if (subject?.kind !== "scoring") continue;
    const other = subject.config;
    if (other.bundle.modelSha256 !== config.bundle.modelSha256) continue;
    if ((other.featuresOf === undefined) !== (config.featuresOf === undefined)) continue;
    const measured = await measuredOf(store, other);
    if (measured !== undefined && measured.endedSeconds > (last?.endedSeconds ?? 0)) last = measured;
  }
  return last;
}

/** By the times of its objects, in whole seconds. @returns undefined if it is not complete, or its store tells no times */
async function measuredOf(store: ObjectStore, config: ScoringConfig): Promise<Measured | undefined> {
  const listing = await findListing(store, scoringKeys(config.id).listing);
  const output = openStore(config.output);
  try {
    if (listing === undefined || (await output.head(outputKeys.success)) === undefined) return undefined;
    const timeOf = async (of: ObjectStore, key: string) => (await of.head(key))?.modifiedSeconds;
    const part = (index: number) => timeOf(output, markerKeyOf(outputKeys.part(index, "jsonl")));
    const started = await timeOf(store, scoringKeys(config.id).config);
    const [first, ended] = [await part(0), await part(listing.shards - 1)];
    if (started === undefined || first === undefined || ended === undefined) return undefined;
    const { images } = listing;
    const firstImages = Math.min(config.shardSize, images);
    const isLong = images > firstImages && ended > first;
    const imagesPerSecond = isLong
      ? (images - firstImages) / (ended - first)
      : images / Math.max(1, ended - started);
    // The first shard's own images are counted by the rate.
    const startSeconds = isLong ? Math.max(0, first - started - firstImages / imagesPerSecond) : 0;
    return { id: config.id, endedSeconds: ended, startSeconds, imagesPerSecond };
  } finally {
    output.close();
  }
}
