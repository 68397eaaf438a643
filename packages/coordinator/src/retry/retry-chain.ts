import { runConfig, runKeys, type ObjectStore, type RunConfig } from "@trommel/common";
import { findListing, readStopReason } from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { readIfThere } from "@trommel/common/store";
import { readFailedImages, type FailedImages } from "../run-control/failed-images.js";

/** The runs that retry a run's failed images: `<run>-retry1`, `-retry2` and so on, each those of the run before it. */

export function nextRetryId({ id }: Pick<RunConfig, "id">): string {
  const match = /^(.*)-retry(\d+)$/.exec(id);
  return match === null ? `${id}-retry1` : `${match[1]}-retry${Number(match[2]) + 1}`;
}

/** @returns undefined if there is no such run */
export async function findRunConfig(store: ObjectStore, id: string): Promise<RunConfig | undefined> {
  const key = runKeys(id).config;
  const body = await readIfThere(store, key);
  return body === undefined ? undefined : parseSealedAs(runConfig, body, key);
}

/** The last run of the chain that begins with `first`; `first` itself if no run retries it. */
export async function lastOfChain(store: ObjectStore, first: RunConfig): Promise<RunConfig> {
  let last = first;
  for (;;) {
    const next = await findRunConfig(store, nextRetryId(last));
    // Another run may have that name.
    if (next?.retryOf?.run !== last.id) return last;
    last = next;
  }
}

export interface Tried {
  readonly failures: FailedImages;
  /** Whether each of its images has been tried, so that the failed ones are known. */
  readonly isTried: boolean;
  /** Whether it has ended: with a bundle, or with too few images for one. Otherwise it has to be resumed. */
  readonly isOver: boolean;
}

export async function readTried(store: ObjectStore, config: RunConfig): Promise<Tried> {
  const subject = { kind: "run", id: config.id, config } as const;
  const failures = await readFailedImages(store, subject, 0);
  if (failures.complete) return { failures, isTried: true, isOver: true };
  const listing = await findListing(store, runKeys(config.id).listing);
  const isTried = failures.sums.shards === listing?.shards;
  // Its images stay failed however often it is resumed; only a retry reads the files again.
  const isOver = isTried && (await readStopReason(store, subject))?.code === "bad-dataset";
  return { failures, isTried, isOver };
}
