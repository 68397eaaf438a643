import { resolveLocation, subjectKeys, TrommelError, type FailureReason } from "@trommel/common";
import type { SortLedger } from "@trommel/common/artefacts";
import { findChange } from "@trommel/coordinator/generations";
import {
  findSubject,
  readResultOrFault,
  readTuningProgress,
  type Subject,
  type TuningProgress,
} from "@trommel/coordinator/run-control";
import type { ExportedFeatures } from "@trommel/common/worker-commands";
import { whyStoreItself } from "@trommel/coordinator/resolve";
import { abortable, eitherSignal, type CallOptions } from "./api/abortable.js";
import type { BeginOptions } from "./api/begin.js";
import { placeExpected, textGiven } from "./api/given.js";
import { retryRun, retryScoring } from "./api/requests/retry.js";
import {
  startSorting,
  tellParts,
  Sorting,
  type SortingOptions,
  type StartSortOptions,
} from "./api/sorting.js";
import {
  trainingResult,
  Work,
  type ScoringResult,
  type StartOptions,
  type TrainingResult,
  type WorkHost,
} from "./api/work.js";
import { loadWorkerCommands } from "./worker-package.js";

/** Which failed images are tried again. */
export interface RetryOptions extends StartOptions {
  /** Only images that failed for one of these. @default all */
  readonly reasons?: readonly FailureReason[] | undefined;
}

/** How a run's failed images are tried again. */
export interface RunRetryOptions extends RetryOptions {
  /** Id of the new run. @default `<run>-retry1` */
  readonly id?: string | undefined;
  /** The place that the new run's bundle is copied to, besides the store. @default nowhere */
  readonly output?: string | undefined;
}

/** What {@link Run.retry} and {@link Scoring.retry} came to. */
export interface Retried<Retry extends Work> {
  /** The run or scoring whose failed images were looked at. */
  readonly of: string;
  /** What tries them again; undefined where none failed. */
  readonly retry: Retry | undefined;
}

/** A training. */
export class Run extends Work {
  /**
   * Waits for the bundle.
   * @throws TrommelError the run's own error with its `code` and, in `context.stage`, where it failed; `cancelled`;
   *   `unavailable` where nobody works on it
   */
  async result(options: CallOptions = {}): Promise<TrainingResult> {
    return trainingResult(this.host, this.id, await this.summary(options));
  }

  /**
   * How far its tuning is; undefined before the rounds are planned, and for a run that has none: one that does not tune, or takes the
   * networks of its folds, whose runs have rounds.
   */
  async tuning(options: CallOptions = {}): Promise<TuningProgress | undefined> {
    const { store } = this.host.connections;
    return abortable(options, () => readTuningProgress(store, this.subject));
  }

  /**
   * Writes the embeddings that the run has stored, of every view of its images, into files of their own. No image is read.
   * @throws TrommelError `conflict` if there is something at that place, `missing-input` if the run is not extracted to its end,
   *   `device-unavailable` if the worker package is not installed
   */
  async exportFeatures({
    into,
    format = "parquet",
    type,
    onShard = () => undefined,
    signal,
  }: ExportFeaturesOptions): Promise<ExportedFeatures> {
    const { connections, signal: handle } = this.host;
    const place = textGiven(into, "export features", "into", placeExpected);
    const target = resolveLocation(place, connections.options.folder);
    const { url } = connections.store;
    const why = whyStoreItself(target, url);
    if (why !== undefined)
      throw new TrommelError(
        "invalid-argument",
        `cannot export features into ${target}: ${why}. Choose another --into`,
        { context: { into: target } },
      );
    const worker = await loadWorkerCommands();
    const options = { storeUrl: url, run: this.id, into: target, format, type };
    return abortable({ signal }, () =>
      worker.exportFeatures(options, eitherSignal({ signal }, handle), onShard),
    );
  }

  /**
   * Tries the images that failed again, as a new run that reuses all features; a retry that is unfinished is continued.
   * @throws TrommelError `conflict` while it is unfinished, or is being tried again for other reasons
   */
  async retry(options: RunRetryOptions = {}): Promise<Retried<Run>> {
    const { of, begin } = await retryRun(this.host.connections, this.subject, options);
    if (begin === undefined) return { of, retry: undefined };
    const retry = new Run(this.host, begin.subject);
    await retry.begin({ ...options, claim: begin.claim });
    return { of, retry };
  }
}

/** What {@link Run.exportFeatures} takes. */
export interface ExportFeaturesOptions extends CallOptions {
  /** The place of the files: an empty folder or `s3://bucket/prefix`. */
  readonly into: string;
  /** A Parquet file of key, view and embedding, or a numpy array and the keys of its rows. @default "parquet" */
  readonly format?: "parquet" | "npy" | undefined;
  /** The type of the numbers. @default as the run has stored them */
  readonly type?: "f16" | "f32" | undefined;
  /** Called with each of the run's shards that is written. */
  readonly onShard?: ((done: number, shards: number) => void) | undefined;
}

/**
 * `new`; `unfinished`, so that it is continued with the listing that it has; complete and its source `unchanged`; or complete and its
 * source `changed`, so that its next generation is opened.
 */
export type ScoringMet = "new" | "unfinished" | "unchanged" | "changed";

/** A scoring. */
export class Scoring extends Work {
  #met: ScoringMet | undefined;

  /** How the call that scores a source met it; undefined where it was only looked up. */
  get met(): ScoringMet | undefined {
    return this.#met;
  }

  /**
   * @internal Begins it, continues it, or opens its next generation if it is complete and its source has changed.
   * @param claimNext written before the next generation is opened, in place of `claim`
   * @param signal ends the comparison with the source; what is begun then is followed to its end, which the store is to know
   */
  async beginLatest({
    claim,
    claimNext,
    signal,
    ...options
  }: BeginOptions & CallOptions & { readonly claimNext: () => Promise<void> }): Promise<void> {
    const { store } = this.host.connections;
    const { subject } = this;
    if (subject.kind !== "scoring") return;
    const { result } = await readResultOrFault(store, subject);
    if (result === undefined) {
      const isKnown = (await store.head(subjectKeys(subject).config)) !== undefined;
      this.#met = isKnown ? "unfinished" : "new";
      await this.begin({ ...options, claim });
      return;
    }
    // Stored features have no source that could change.
    if (subject.config.featuresOf !== undefined) return this.begin({ ...options, claim });
    // With the columns that the first listing carried: those of the manifest may have become more.
    const stored = await findSubject(store, this.id);
    if (stored.kind !== "scoring") return;
    const open = await findChange(store, stored.config, eitherSignal({ signal }, this.host.signal));
    this.#met = open === undefined ? "unchanged" : "changed";
    const openNext = async (): Promise<void> => {
      await claimNext();
      await open?.();
    };
    await this.begin({ ...options, claim: openNext, again: open !== undefined });
  }

  /**
   * Waits for the scores.
   * @throws TrommelError as {@link Run.result}
   */
  async result(options: CallOptions = {}): Promise<ScoringResult> {
    const summary = await this.summary(options);
    return { ...summary, id: this.id, output: summary.location };
  }

  /**
   * Puts the images into a folder per label, `<label>/<key>`: a stage of the cluster, and a bucket's server copies within itself. Nothing
   * is overwritten, and a second call continues where the first one ended.
   * @throws TrommelError `conflict` where the scoring is not complete, `invalid-argument` for the place, `unsupported` for links that
   *   cannot be
   */
  async sort({ onPart, ...options }: SortingOptions): Promise<SortLedger> {
    const sorting = await this.startSort(options);
    if (onPart !== undefined) await tellParts(sorting, onPart, options);
    return sorting.result({ signal: options.signal });
  }

  /** {@link sort} as a handle, which can be followed, cancelled and left. @throws TrommelError as {@link sort} does */
  async startSort(options: StartSortOptions): Promise<Sorting> {
    return abortable(options, () => startSorting(this.host, this.subject, options));
  }

  /**
   * Tries the images that failed again, in place.
   * @throws TrommelError `conflict` while it is unfinished for another reason
   */
  async retry(options: RetryOptions = {}): Promise<Retried<Scoring>> {
    const { claim } = await retryScoring(this.host.connections, this.subject, options.reasons);
    if (claim === undefined) return { of: this.id, retry: undefined };
    await this.begin({ ...options, claim, again: true });
    return { of: this.id, retry: this };
  }
}

/** @internal The handle of a run, scoring or sorting that the store has. */
export function workOf(host: WorkHost, subject: Subject): Run | Scoring | Sorting {
  if (subject.kind === "run") return new Run(host, subject);
  return subject.kind === "scoring" ? new Scoring(host, subject) : new Sorting(host, subject);
}
