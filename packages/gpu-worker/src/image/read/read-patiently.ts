import { setTimeout } from "node:timers/promises";
import {
  SeededRandom,
  seedFrom,
  toTrommelError,
  type FailureReason,
  type ShardEntry,
  type TrommelError,
} from "@trommel/common";
import { withinBound } from "@trommel/common/waiting/within-bound";

/** Reads one file until the store gives it, or until it is certain that the file is at fault and not the store. */

/** Tries of a file before it is a row. */
const readTries = 3;

export interface PatientReader {
  /** @throws TrommelError as ObjectStore.get does; `changed` where it is not the listed object any more */
  readonly read: (entry: ShardEntry, maxBytes: number, signal: AbortSignal) => Promise<Uint8Array>;
  /**
   * Shows that the store answers, before a file is tried again: what fails is then the file's own.
   * @throws TrommelError retryable, where it does not: then the shard is for another time
   */
  readonly probe: () => Promise<void>;
  /** Of one try, from the request to the last byte. */
  readonly readTimeoutMs: number;
  /** Before the second try, and before the third, at most; at least half of it. */
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
      /** The store failed, and not what is in it. */
      readonly byStore: boolean;
    };

/**
 * Words and counts of a failure depend on its reason alone: a ledger must not show how often a try was lost before.
 * @throws TrommelError what is neither the file's nor passing, and what `probe` throws
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
      const bytes = await withinBound({ timeoutMs, signal, doing: `read ${entry.key}` }, (bounded) =>
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

/** What another try would not change. */
function settledFailure({ code }: TrommelError): { reason: FailureReason; detail: string } | undefined {
  switch (code) {
    case "not-found":
      return { reason: "not-found", detail: "it was listed, and was gone when its turn came" };
    case "forbidden":
      return { reason: "forbidden", detail: "the store refused it when its turn came" };
    case "too-large":
      return {
        reason: "too-large",
        detail: "it has more bytes than were listed, and than the recipe allows",
      };
    case "changed":
      return { reason: "changed", detail: "it is not the object that was listed: its etag differs" };
    default:
      return undefined;
  }
}

/** `corrupt` says here that the body lost bytes or its checksum on the way. */
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
    byStore: true,
  };
}

/** Jitter that keeps files that failed together from coming back together; no result depends on it. */
async function pause(key: string, tried: number, { pausesMs, signal }: PatientReader): Promise<void> {
  const atMostMs = pausesMs[tried - 1] ?? 0;
  const share = new SeededRandom(seedFrom(0, "read again", key, tried)).uniform(0.5, 1);
  await setTimeout(atMostMs * share, undefined, { signal }).catch(() => {
    signal.throwIfAborted();
  });
}
