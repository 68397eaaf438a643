import { setTimeout } from "node:timers/promises";
import {
  SeededRandom,
  seedFrom,
  toTrommelError,
  type FailureReason,
  type ShardEntry,
  type TrommelError,
} from "@trommel/common";
import { withTimeout } from "@trommel/common/waiting";
import { settledFailure } from "./settled-failure.js";

/** Reads one file until the store delivers it, or until it is certain that the file is at fault and not the store. */

/** Tries before a file counts as failed. */
const readTries = 3;

export interface PatientReader {
  /** @throws TrommelError as ObjectStore.get does; `changed` if it is no longer the listed object */
  readonly read: (entry: ShardEntry, maxBytes: number, signal: AbortSignal) => Promise<Uint8Array>;
  /**
   * Checks before a file is retried that the store answers, so that a further failure is the file's own.
   * @throws TrommelError retryable, if it does not: the shard is retried later
   */
  readonly probe: () => Promise<void>;
  /** Limit for one try, from the request to the last byte. */
  readonly readTimeoutMs: number;
  /** Longest pauses before the second and the third try; the actual pause is at least half as long. */
  readonly pausesMs: readonly [number, number];
  readonly signal: AbortSignal;
}

export type ReadOutcome =
  | { readonly ok: true; readonly bytes: Uint8Array }
  | {
      readonly ok: false;
      readonly reason: FailureReason;
      readonly detail: string;
      readonly tries: number;
      /** Whether the store failed, not the file. */
      readonly byStore: boolean;
    };

/**
 * Text and counts of a failure depend only on its reason: a ledger must not depend on how often a try failed before.
 * @throws TrommelError for errors that are neither the file's nor temporary, and whatever `probe` throws
 */
export async function readPatiently(
  entry: ShardEntry,
  maxBytes: number,
  reader: PatientReader,
): Promise<ReadOutcome> {
  const { signal, readTimeoutMs: timeoutMs } = reader;
  for (let tried = 1; ; tried += 1) {
    let error: TrommelError;
    try {
      const bytes = await withTimeout({ timeoutMs, signal, doing: `read ${entry.key}` }, (bounded) =>
        reader.read(entry, maxBytes, bounded),
      );
      return { ok: true, bytes };
    } catch (thrown) {
      error = toTrommelError(thrown);
    }
    signal.throwIfAborted();
    const settled = settledFailure(error);
    if (settled !== undefined) return { ok: false, tries: 1, byStore: false, ...settled };
    if (!mayPass(error)) throw error;
    if (tried === readTries) return persistentFailure(error, timeoutMs);
    await pause(entry.key, tried, reader);
    await reader.probe();
  }
}

/** Here `corrupt` means that the body lost bytes, or that its checksum differs. */
function mayPass({ code }: TrommelError): boolean {
  return code === "unavailable" || code === "timed-out" || code === "corrupt";
}

function persistentFailure({ code }: TrommelError, timeoutMs: number): ReadOutcome {
  const timedOut = code === "timed-out";
  return {
    ok: false,
    reason: timedOut ? "timed-out" : "unreadable",
    detail: timedOut
      ? `reading it took longer than ${timeoutMs} ms each time`
      : "the store failed to give it each time, and answered otherwise",
    tries: readTries,
    // The same body was wrong at each try, and the store answered: a damaged object, and not a slow store.
    byStore: code !== "corrupt",
  };
}

/** Jitter, so that files that failed together are not retried together; no result depends on it. */
async function pause(key: string, tried: number, { pausesMs, signal }: PatientReader): Promise<void> {
  const atMostMs = pausesMs[tried - 1] ?? 0;
  const share = new SeededRandom(seedFrom(0, "read again", key, tried)).uniform(0.5, 1);
  await setTimeout(atMostMs * share, undefined, { signal }).catch(() => {
    signal.throwIfAborted();
  });
}
