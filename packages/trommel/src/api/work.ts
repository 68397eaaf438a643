import {
  bundleFiles,
  metrics as metricsSchema,
  parseJsonAs,
  runKeys,
  TrommelError,
  type ErrorLine,
  type FailureReason,
  type Ledger,
  type Metrics,
} from "@trommel/common";
import {
  choice as choiceSchema,
  parseFailureLimit,
  writeFailureLimit,
  type Choice,
} from "@trommel/common/artefacts";
import type { SubjectKind } from "@trommel/common/jobs";
import { readBounds } from "@trommel/common/store";
import {
  cancelSubject,
  steerSubject,
  findSubject,
  readFailedImages,
  readListingOverview,
  readStatus,
  type FailedImages,
  type KeepsImage,
  type ListingOverview,
  type RunResult,
  type RunStatus,
  type Subject,
} from "@trommel/coordinator/run-control";
import { abortable, type CallOptions } from "./abortable.js";
import { begin, noteEnd, type BeginOptions, type Begun, type SteeringOptions } from "./begin.js";
import type { Connections } from "./connections.js";
import { errorOf } from "./following/follow.js";
import { Follower } from "./following/follower.js";
import { statusWithTimes, type WorkTimes } from "./listing.js";
import { Rates, type Progress } from "./following/progress.js";

/** A status with the rates of its reader. */
export interface WatchedStatus extends RunStatus {
  /** Stages that have something to do, in the order in which they come. */
  readonly progress: readonly Progress[];
}

/** What a finished run has to show. */
export interface TrainingResult extends RunResult {
  readonly id: string;
  /** Location of the bundle, which `loadClassifier` and `score` take. */
  readonly bundle: string;
  /** Location of the report, a page of HTML. */
  readonly report: string;
  /**
   * With `head: auto`: every figure with its 95 % interval, on images that the heads never saw, and what was chosen; null with
   * any other head.
   */
  readonly choice: Choice | null;
  /** With a single head: accuracy, log loss, confusion and history, on the images that chose its epoch; null with `head: auto`. */
  readonly metrics: Metrics | null;
  /** listed = ok + failed + skipped. */
  readonly ledger: Ledger;
}

/** What a finished scoring has to show. */
export interface ScoringResult extends RunResult {
  readonly id: string;
  /** Location of the scores. */
  readonly output: string;
}

/** What the call that begins or continues work takes. */
export interface StartOptions extends CallOptions, SteeringOptions {
  /** Returns as soon as it is queued and leaves it to the cluster, which needs a `redis`. @default false */
  readonly detach?: boolean | undefined;
}

/** What {@link Work.resume} takes. */
export interface ResumeOptions extends StartOptions {
  /** For a scoring: stops once more images have failed, a number or a percentage of the listing. @default as it was started */
  readonly maxFailures?: number | string | undefined;
}

/** What {@link Work.errors} takes. */
export interface ErrorsOptions extends CallOptions {
  /** Only images that failed for one of these. @default all */
  readonly reasons?: readonly FailureReason[] | undefined;
}

/** What {@link Work.failures} takes. */
export interface FailuresOptions extends CallOptions {
  /** Keys of skipped files that are kept for each reason. @default 20 */
  readonly skippedAtMost?: number | undefined;
  /** Which of the failed images are kept. @default all */
  readonly keeps?: KeepsImage | undefined;
}

/** What a handle's works share. */
export interface WorkHost {
  readonly connections: Connections;
  /** Aborts when the handle is closed or its signal aborts. */
  readonly signal: AbortSignal;
  /** Keeps the work until the handle is closed. */
  keep(work: Work): void;
}

/** A run, a scoring or a sorting: what was asked for, how far it is, and what came of it. */
export abstract class Work {
  /** The id under which the store has it. */
  readonly id: string;
  protected readonly host: WorkHost;
  #subject: Subject;
  #begun: Begun | undefined;
  #beginning: Promise<Begun> | undefined;

  /** @internal */
  constructor(host: WorkHost, subject: Subject) {
    this.host = host;
    this.id = subject.id;
    this.#subject = subject;
  }

  /** Whether it is a training, a scoring or a sorting. */
  get kind(): SubjectKind {
    return this.#subject.kind;
  }

  /**
   * How this handle met it: `queued` by it (or queued already), `joined` where another process's embedded cluster works on it,
   * `complete` where it was finished before; undefined where it was only looked up.
   */
  get begun(): "complete" | "joined" | "queued" | undefined {
    return this.#begun?.as;
  }

  /** How it is now, from the store and, where one has it, from Redis. */
  async status(options: CallOptions = {}): Promise<RunStatus & WorkTimes> {
    return abortable(options, () => statusWithTimes(this.host.connections, this.#subject));
  }

  /** Each look at it until it ends, however it ends. */
  async *watch({ signal }: CallOptions = {}): AsyncGenerator<WatchedStatus> {
    const follower = await this.#follow();
    if (follower === undefined) return;
    const rates = new Rates();
    for await (const status of follower.statuses(signal)) {
      const stages = status.stages.filter(({ total }) => total > 0);
      yield { ...status, progress: stages.map((stage) => rates.of(stage)) };
    }
  }

  /** How far each stage is, whenever it has moved, until the work ends, however it ends. */
  async *progress(options: CallOptions = {}): AsyncGenerator<Progress> {
    const shown = new Map<string, string>();
    for await (const status of this.watch(options)) {
      for (const progress of status.progress) {
        const { stage, done, total, failed, note } = progress;
        const key = [done, total, failed, note].join(" ");
        if (shown.get(stage) === key) continue;
        shown.set(stage, key);
        yield progress;
      }
    }
  }

  /** What was listed: classes with their counts, and what looks odd; undefined until the listing is complete. */
  async listing(options: CallOptions = {}): Promise<ListingOverview | undefined> {
    return abortable(options, () => readListingOverview(this.host.connections.store, this.#subject));
  }

  /**
   * Waits for the end of the work. @returns its figures, without what only the bundle has
   * @throws TrommelError the work's own error with its `code` and, in `context.stage`, where it failed; `cancelled`;
   *   `unavailable` where nobody works on it
   */
  async summary({ signal }: CallOptions = {}): Promise<RunResult> {
    const follower = await this.#follow();
    if (follower !== undefined) return follower.result(signal);
    const status = await this.status({ signal });
    if (status.result !== undefined) return status.result;
    throw errorOf(status, this.id) ?? new TrommelError("internal", `${this.id} has no result`);
  }

  /**
   * Stops it, whichever process works on it; what is done is kept.
   * @throws TrommelError `conflict` where it is complete
   */
  async cancel(options: CallOptions = {}): Promise<void> {
    await abortable(options, async () => {
      const { store } = this.host.connections;
      const producer = await this.host.connections.producerOf(this.#subject);
      const { phase } = await readStatus(store, this.#subject, producer);
      if (phase === "complete")
        throw new TrommelError("conflict", `cannot cancel ${this.id}: it is complete`);
      await cancelSubject(store, this.#subject, producer);
    });
  }

  /**
   * Continues it from what the store holds; one that runs is joined.
   * @throws TrommelError `invalid-argument` for `maxFailures` of anything but a scoring
   */
  async resume({ maxFailures, ...options }: ResumeOptions = {}): Promise<this> {
    const limit = maxFailures === undefined ? undefined : parseFailureLimit(maxFailures);
    if (limit !== undefined && this.kind !== "scoring") {
      throw new TrommelError(
        "invalid-argument",
        `cannot resume ${this.id} with --max-failures: it is a ${this.kind === "run" ? "training" : this.kind}, and a limit is for a scoring. Leave it out`,
      );
    }
    const { store } = this.host.connections;
    const claim = limit && (() => writeFailureLimit(store, this.id, limit));
    await this.begin({ ...options, claim });
    return this;
  }

  /**
   * Stops it until {@link Work.unpause}, whichever process works on it; what is done is kept, and shards under way are given up.
   * @throws TrommelError `conflict` where it is not under way
   */
  async pause(options: CallOptions = {}): Promise<void> {
    await abortable(options, async () => {
      const { store } = this.host.connections;
      const producer = await this.host.connections.producerOf(this.#subject);
      const { phase } = await readStatus(store, this.#subject, producer);
      if (phase !== "running")
        throw new TrommelError("conflict", `cannot pause ${this.id}: it is ${phase}, and not running`);
      await cancelSubject(store, this.#subject, producer, { paused: true });
    });
  }

  /** Continues it after {@link Work.pause}. @throws TrommelError `conflict` where it is not paused */
  async unpause(options: StartOptions = {}): Promise<this> {
    const { connections } = this.host;
    const producer = await connections.producerOf(this.#subject);
    const { phase } = await readStatus(connections.store, this.#subject, producer);
    if (phase === "paused") return this.resume(options);
    const advice =
      phase === "complete" || phase === "running"
        ? ""
        : `. 'trommel resume ${this.id}' continues what has stopped`;
    throw new TrommelError("conflict", `cannot unpause ${this.id}: it is ${phase}, and not paused${advice}`);
  }

  /**
   * Changes its share of the workers, or how many of its jobs are under way at once: now, and whenever it is resumed.
   * @throws TrommelError `invalid-argument` where no Redis works on it or nothing is to change, `conflict` where it is complete
   */
  async steer({ priority, jobsAtMost, ...options }: SteeringOptions & CallOptions): Promise<void> {
    if (priority === undefined && jobsAtMost === undefined)
      throw new TrommelError(
        "invalid-argument",
        `cannot steer ${this.id}: neither a priority nor a limit of jobs is given. Give one of them`,
      );
    await abortable(options, async () => {
      const { connections } = this.host;
      const producer = await connections.producerOf(this.#subject);
      if (producer === undefined)
        throw new TrommelError(
          "invalid-argument",
          `cannot steer ${this.id}: no Redis is given, and nobody works on it here. Give --redis, or --priority when you resume it`,
        );
      const { phase } = await readStatus(connections.store, this.#subject, producer);
      if (phase === "complete")
        throw new TrommelError(
          "conflict",
          `cannot steer ${this.id}: it is complete, and queues nothing more`,
        );
      await steerSubject(connections.store, this.#subject, producer, { priority, jobsAtMost });
    });
  }

  /**
   * The images that failed, in the order of the listing: of shards that are done while it is not complete.
   * @throws TrommelError `missing-input` before anything was listed, `corrupt` where the list is not the ledger's
   */
  async *errors({ reasons, signal }: ErrorsOptions = {}): AsyncGenerator<ErrorLine> {
    const { failed } = await this.failures({ signal, skippedAtMost: 0 });
    for (const line of failed) if (reasons === undefined || reasons.includes(line.reason)) yield line;
  }

  /**
   * What failed and what was left out, with the sums of each reason.
   */
  async failures(options: FailuresOptions = {}): Promise<FailedImages> {
    const { skippedAtMost = 20, keeps } = options;
    return abortable(options, () =>
      readFailedImages(this.host.connections.store, this.#subject, skippedAtMost, keeps),
    );
  }

  /** @internal What it is. */
  get subject(): Subject {
    return this.#subject;
  }

  /** @internal Starts, continues or joins it. */
  async begin(options: BeginOptions & CallOptions): Promise<void> {
    this.host.keep(this);
    const beginning = begin(this.host.connections, this.#subject, this.host.signal, options);
    this.#beginning = beginning;
    this.#begun = await abortable(options, () => beginning);
  }

  /** @internal Resolves when nothing of this handle follows it any more. */
  async settled(): Promise<void> {
    // It may have been given up while its cluster started.
    const begun = await this.#beginning?.catch(() => undefined);
    await (this.#begun ?? begun)?.follower?.ended();
  }

  /** @internal Keeps in the store why it stopped with this handle's cluster. */
  async noteEnd(): Promise<void> {
    await noteEnd(this.host.connections.store, this.#subject, this.#begun?.follower?.endedHere);
  }

  /** The follower of work that was begun here; else, where somebody works on it now, one that only looks. */
  async #follow(): Promise<Follower | undefined> {
    if (this.#begun?.follower !== undefined || this.#begun?.as === "complete") return this.#begun.follower;
    const { connections, signal } = this.host;
    const { store, options } = connections;
    this.#subject = await findSubject(store, this.id);
    const producer = await connections.producerOf(this.#subject);
    if (producer === undefined) return undefined;
    const { phase } = await readStatus(store, this.#subject, producer);
    if (phase !== "running") return undefined;
    const { notice } = options;
    const follower = new Follower({ store, subject: this.#subject, producer, notice, signal });
    this.#begun = { as: this.#begun?.as ?? "joined", follower };
    this.host.keep(this);
    return follower;
  }
}

/** @internal Reads what a finished run's bundle says of it. */
export async function trainingResult(
  { connections: { store } }: WorkHost,
  id: string,
  summary: RunResult,
): Promise<TrainingResult> {
  const key = `${runKeys(id).bundle}/${bundleFiles.metrics}`;
  const body = await store.get(key, readBounds.document);
  const isChoice = summary.measured === "out-of-fold";
  return {
    ...summary,
    id,
    bundle: summary.location,
    report: `${summary.location}/${bundleFiles.report}`,
    choice: isChoice ? parseJsonAs(choiceSchema, body, key) : null,
    metrics: isChoice ? null : parseJsonAs(metricsSchema, body, key),
  };
}
