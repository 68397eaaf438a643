import { TrommelError, type ObjectStore } from "@trommel/common";
import { interruptedCode, noteStopReason, stopReasonOf } from "@trommel/common/artefacts";
import type { Priority } from "@trommel/common/jobs";
import { withTimeout } from "@trommel/common/waiting";
import {
  forgetCluster,
  noteCluster,
  readResultOrFault,
  readStatus,
  startAttempt,
  steerSubject,
  type RunStatus,
  type Subject,
} from "@trommel/coordinator/run-control";
import type { Connections } from "./connections.js";
import { Follower } from "./following/follower.js";

/** A store that does not answer keeps no handle from closing. */
const noteTimeoutMs = 5_000;

/** How a run is brought on. */
export interface BeginOptions extends SteeringOptions {
  /** Writes what makes it a run; where there is no Redis or no device, nothing is left behind. */
  readonly claim?: (() => Promise<void>) | undefined;
  /** Started although it is finished: the claim makes it unfinished. */
  readonly again?: boolean;
  /** Left to its cluster as soon as it is queued. */
  readonly detach?: boolean | undefined;
}

/** How work is worked on next to other work: neither its id nor a byte of its results depends on it. */
export interface SteeringOptions {
  /** Its share of the workers: high has four times that of normal, and normal four times that of low. @default "normal" */
  readonly priority?: Priority | undefined;
  /** Jobs of each queue that are under way at once; null for no limit. @default null */
  readonly jobsAtMost?: number | null | undefined;
}

/** What {@link begin} found and did. */
export interface Begun {
  /**
   * `complete`: it was finished before. `joined`: another process's embedded cluster works on it. `queued`: it is queued, or was
   * already.
   */
  readonly as: "complete" | "joined" | "queued";
  /** Undefined where it is complete or detached. */
  readonly follower?: Follower;
}

/**
 * Brings a run to its end or into the queue: one that is finished is left as it is, one that is running is joined, any other
 * is claimed and started or continued.
 * @throws TrommelError `invalid-argument` for `detach` without a Redis, and what the cluster cannot start for
 */
export async function begin(
  connections: Connections,
  subject: Subject,
  signal: AbortSignal,
  { claim, again = false, detach = false, priority, jobsAtMost }: BeginOptions,
): Promise<Begun> {
  const { store, log, options } = connections;
  const { notice } = options;
  if (!again && (await readResultOrFault(store, subject)).result !== undefined) return { as: "complete" };
  if (detach && options.redis === undefined) {
    throw new TrommelError(
      "invalid-argument",
      "cannot leave the work to its cluster (detach, --no-follow): without a Redis the cluster lives inside this process and stops with it. Give a Redis (redis, --redis), or wait for the work",
    );
  }
  if (options.redis === undefined) {
    const elsewhere = await connections.producerElsewhere(subject);
    if (elsewhere !== undefined)
      return {
        as: "joined",
        follower: new Follower({ store, subject, producer: elsewhere, notice, signal }),
      };
  }
  const { producer, cluster } = await connections.producerOrCluster();
  cluster?.check();
  await claim?.();
  if (priority !== undefined || jobsAtMost !== undefined)
    await steerSubject(store, subject, producer, { priority, jobsAtMost });
  if (cluster !== undefined) {
    await noteCluster(store, subject, cluster.redisUrl);
    if (!connections.noted.has(subject.id))
      connections.releases.add("cluster note", () => forgetCluster(store, subject));
    connections.noted.add(subject.id);
  }
  const status = await readStatus(store, subject, producer);
  const requeue = async ({ attempt }: RunStatus): Promise<void> => {
    await startAttempt(store, subject, producer, attempt);
  };
  if (status.phase !== "running") await requeue(status);
  log.info({ id: subject.id, joined: status.phase === "running" }, "queued");
  if (detach) return { as: "queued" };
  return {
    as: "queued",
    follower: new Follower({ store, subject, producer, cluster, requeue, notice, signal }),
  };
}

/**
 * Keeps in the store why a run stopped whose cluster has been stopped; where it failed, the worker that noticed has done so. A
 * cancelled one has its mark.
 */
export async function noteEnd(
  store: ObjectStore,
  subject: Subject,
  ended: TrommelError | undefined,
): Promise<void> {
  const interrupted = ended?.context["interrupted"];
  if (ended === undefined || (ended.code === "cancelled" && interrupted === undefined)) return;
  const error =
    interrupted === undefined
      ? stopReasonOf(ended, String(ended.context["stage"] ?? ""))
      : {
          code: interruptedCode,
          message: `its command was interrupted (${String(interrupted)}). 'trommel resume ${subject.id}' continues it`,
          stage: "",
        };
  const noting = readResultOrFault(store, subject).then(async ({ result }) => {
    if (result === undefined) await noteStopReason(store, subject, error);
  });
  await withTimeout({ timeoutMs: noteTimeoutMs, doing: "note why it stopped" }, noting);
}
