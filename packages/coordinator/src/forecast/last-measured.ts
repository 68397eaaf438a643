import { openStore, outputKeys, scoringKeys, type ObjectStore, type ScoringConfig } from "@trommel/common";
import { findListing } from "@trommel/common/artefacts";
import { markerKeyOf } from "@trommel/common/codec";
import { listSubjects } from "../run-control/list-subjects.js";
import { findSubject } from "../run-control/subject.js";

interface Measured {
  readonly id: string;
  readonly endedSeconds: number;
  /** From the start to the first shard's scores. */
  readonly startSeconds: number;
  readonly imagesPerSecond: number;
}

/** The scoring by the same model, of pictures or of features as this one, that ended last. */
export async function lastMeasured(store: ObjectStore, config: ScoringConfig): Promise<Measured | undefined> {
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
