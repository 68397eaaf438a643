import { TrommelError } from "@trommel/common";
import type { Scoring } from "../../run.js";
import type { ScoreOptions } from "../requests/scoring.js";
import type { ScoringResult } from "../work.js";
import { parseSchedule, sleepUntil } from "./schedule.js";
import { watchLoop, type Looked } from "./watch-loop.js";

/** What `Trommel.watchScoring` takes. */
export interface WatchOptions extends Omit<ScoreOptions, "detach"> {
  /** Seconds from one look at the source to the next, or a cron expression in the time of this machine. */
  readonly every: number | string;
}

/** What a tick of a watched scoring came to. */
export type WatchedScoring = Looked<
  | { readonly kind: "scored"; readonly result: ScoringResult }
  /** Nothing has changed since, and nothing is written. */
  | { readonly kind: "unchanged"; readonly id: string }
>;

/** What watching needs of its handle. */
interface WatchHost {
  readonly score: () => Promise<Scoring>;
  /** Keeps no work any more whose end needs no note. */
  readonly forget: (scoring: Scoring) => void;
  /** @throws TrommelError where the handle's own cluster is gone: no look can bring it back */
  readonly checkCluster: () => Promise<void>;
  /** Aborts with the call's own signal and with the handle. */
  readonly signal: AbortSignal;
}

/**
 * Scores a source again and again: one loop around the generations of a scoring.
 * @throws TrommelError `invalid-argument` for the interval and for stored features, which do not change; and what another look does not
 *   change
 */
export function watchScoring(
  host: WatchHost,
  { every, featuresOf }: WatchOptions,
): AsyncGenerator<WatchedScoring> {
  if (featuresOf !== undefined)
    throw new TrommelError(
      "invalid-argument",
      `cannot watch the stored features of ${featuresOf}: a run's features do not change. Score them once, without --watch`,
    );
  const schedule = parseSchedule(every, new Date());
  const { signal } = host;
  let scoring: Scoring | undefined;
  const score = async (): Promise<Scoring> => {
    scoring = undefined;
    return (scoring = await host.score());
  };
  return watchLoop<Exclude<WatchedScoring, { kind: "skipped" | "failed" }>>({
    look: async () => {
      let found = await score();
      if (found.met === "unfinished") {
        await found.summary({ signal });
        host.forget(found);
        // What has come since is its next generation.
        found = await score();
      }
      const result = await found.result({ signal });
      host.forget(found);
      return found.met === "unchanged" ? { kind: "unchanged", id: found.id } : { kind: "scored", result };
    },
    nextTick: (until) => sleepUntil(schedule.next(new Date()), until),
    passes: async (error) => {
      if (!mayPass(error)) return false;
      await host.checkCluster();
      if (scoring !== undefined) host.forget(scoring);
      return true;
    },
    signal,
  });
}

/** Servers come back, room is made, and a source that holds nothing may be a folder that is not mounted yet. */
function mayPass({ code, retryable }: TrommelError): boolean {
  return retryable || code === "unavailable" || code === "bad-dataset";
}
