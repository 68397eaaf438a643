import { setTimeout as sleep } from "node:timers/promises";
import {
  LiveRun,
  stopReasonToThrow,
  stageTable,
  TrommelError,
  type ObjectStore,
  type StageProgress,
} from "@trommel/common";
import { withTimeout } from "@trommel/common/jobs/redis-connection";
import type { LocalCluster } from "../cluster/local-cluster.js";
import { interruptedBy } from "./interrupt.js";
import { TransientErrors } from "./transient-errors.js";
import { openDisplay } from "./progress-display.js";
import type { Terminal } from "./terminal.js";
import type { JobProducer } from "@trommel/coordinator/run-control/job-producer";
import {
  readStatus,
  type RunResult,
  type RunStatus,
  type Subject,
} from "@trommel/coordinator/run-control/run-state";

const pollMs = 500;
/** How often one command queues its run again after Redis lost it, or after something damaged was removed. */
const requeuesAtMost = 20;
/** ioredis waits for ever for a Redis that is away; a look at a run does not. */
const lookTimeoutMs = 60_000;

export interface FollowOptions {
  readonly terminal: Terminal;
  readonly store: ObjectStore;
  readonly subject: Subject;
  readonly producer: JobProducer;
  readonly cluster?: LocalCluster | undefined;
  /** Queues the run again where that helps; a follower that may not touch the run has none. */
  readonly requeue?: (lost: RunStatus) => Promise<unknown>;
  readonly signal: AbortSignal;
}

/**
 * Watches a run until it ends. Watching may be left and taken up again; a Redis or a store that is away for some minutes
 * is waited for.
 * @throws TrommelError the run's own error, `cancelled`, or `unavailable` where Redis has lost the run for good
 */
export async function follow(options: FollowOptions): Promise<RunResult> {
  const { terminal, store, subject, producer, cluster, signal } = options;
  const display = openDisplay(terminal.io.stderr);
  const say = (line: string): void => terminal.note(`${subject.id}: ${line}`);
  const transientErrors = new TransientErrors(say);
  const left = untilLeft(signal, () => interrupted(options));
  let requeues = 0;
  const look = async (): Promise<RunResult | undefined> => {
    const looking = readStatus(store, subject, producer).then((seen) =>
      withActiveImages(seen, subject, producer),
    );
    const status = await withTimeout(looking, lookTimeoutMs, `see how ${subject.id} is`);
    display.show(status);
    transientErrors.over();
    if (status.result !== undefined) return status.result;
    const why = whyAgain(status);
    if (why !== undefined && options.requeue !== undefined && requeues < requeuesAtMost) {
      requeues += 1;
      await withTimeout(options.requeue(status), lookTimeoutMs, `queue ${subject.id} again`);
      say(`${why}; it is queued again, and what is done is not repeated`);
      return undefined;
    }
    throwIfOver(status, subject.id);
    return undefined;
  };
  try {
    for (;;) {
      cluster?.check();
      const looked = look().catch((thrown: unknown) => {
        // What is left behind may find its connection closed.
        if (signal.aborted) return undefined;
        // The run's own error is as final as the run is.
        if (thrown instanceof RunOver) throw thrown.error;
        transientErrors.note(thrown);
        return undefined;
      });
      const result = await Promise.race([looked, left]);
      if (result !== undefined) return result;
      await Promise.race([sleep(pollMs), left]);
    }
  } finally {
    display.stop();
  }
}

/** What happened to a run that another attempt brings on by itself; undefined where none does. */
function whyAgain({ phase, error }: RunStatus): string | undefined {
  if (phase === "stopped") return "Redis had lost it";
  if (phase !== "failed" || error?.removed !== true) return undefined;
  return error.message.replace(/(has been removed).*$/s, "$1");
}

/** Rejects when the follower is told to leave, at once if it was already. */
function untilLeft(signal: AbortSignal, reason: () => TrommelError): Promise<never> {
  const left = new Promise<never>((_, reject) => {
    const leave = (): void => reject(reason());
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave, { once: true });
  });
  // It is waited for in races alone, and may lose each of them.
  left.catch(() => undefined);
  return left;
}

function interrupted({ subject: { id }, cluster, signal, store }: FollowOptions): TrommelError {
  const place = `--store ${store.url}`;
  return interruptedBy(
    signal,
    cluster === undefined
      ? `stopped following ${id}; it goes on. 'trommel status ${id} --follow ${place}' rejoins it`
      : `stopped ${id}; the shards that are done are kept. 'trommel resume ${id} ${place}' continues it`,
  );
}

/** Carries what ended a run past the handling of failures that pass. */
class RunOver extends Error {
  constructor(readonly error: TrommelError) {
    super(error.message);
  }
}

function throwIfOver(status: RunStatus, id: string): void {
  if (status.phase === "failed") {
    throw new RunOver(
      status.error === undefined
        ? new TrommelError(
            "internal",
            `failed to finish ${id}: its last job failed without a word. 'trommel resume ${id}' tries again`,
          )
        : stopReasonToThrow(status.error),
    );
  }
  if (status.phase === "cancelled") {
    throw new RunOver(
      new TrommelError("cancelled", `${id} was cancelled. 'trommel resume ${id}' continues it`),
    );
  }
  if (status.phase === "stopped") {
    throw new RunOver(
      new TrommelError(
        "unavailable",
        `failed to follow ${id}: Redis does not know it (any more). 'trommel resume ${id}' rebuilds it from the store`,
        { retryable: false },
      ),
    );
  }
}

/** Adds the images that running shards have worked through, so that progress moves between commits. */
async function withActiveImages(
  status: RunStatus,
  subject: Subject,
  producer: JobProducer,
): Promise<RunStatus> {
  const attempt = (await new LiveRun(producer.redis, subject.id).state())?.attempt;
  if (attempt === undefined || status.phase !== "running") return status;
  const stages: StageProgress[] = [];
  for (const row of status.stages) {
    const { stage, imagesDone, imagesTotal } = row;
    if (stageTable[stage].counts !== "images" || imagesDone >= imagesTotal) {
      stages.push(row);
      continue;
    }
    const active = await producer.activeImages(stage, subject.id, attempt);
    stages.push({ ...row, imagesDone: Math.min(imagesDone + active, imagesTotal) });
  }
  return { ...status, stages };
}
