import { availableParallelism } from "node:os";
import {
  TrommelError,
  type Device,
  type ObjectStore,
  type PredictedRow,
  type RecipeInput,
  type ScoreFormat,
} from "@trommel/common";
import { listMembers, type ClusterMember } from "@trommel/common/redis";
import {
  forecastRun,
  resolveBundle,
  type AskedArchives,
  type AskedManifest,
  type TrainingForecast,
  forecastScoring,
  type ScoringForecast,
} from "@trommel/coordinator/resolve";
import { readCurrentFiles, type CurrentFiles } from "@trommel/coordinator/evaluation";
import { findSubject, requireScoring } from "@trommel/coordinator/run-control";
import { abortable, eitherSignal, type CallOptions } from "./api/abortable.js";
import { Backbones } from "./api/backbones.js";
import { Connections } from "./api/connections.js";
import { filesGiven, modelGiven, optionsGiven, textGiven } from "./api/given.js";
import { evaluate, type EvaluateOptions } from "./api/evaluation/evaluate.js";
import type { Evaluation } from "./api/evaluation/evaluation.js";
import { listWorks, type ListedWork } from "./api/listing.js";
import { pathFrom, resolveOptions, type TrommelOptions } from "./api/options.js";
import { Recipes } from "./api/recipes.js";
import { StoreKeeping } from "./api/store-keeping.js";
import { concatenateScores } from "./api/requests/score-text.js";
import { resolveScoringRequest, type ScoreOptions } from "./api/requests/scoring.js";
import { resolveTraining, type TrainingRequest } from "./api/requests/training.js";
import { watchScoring, type WatchedScoring, type WatchOptions } from "./api/watching/watch-scoring.js";
import type { StartOptions, Work, WorkHost } from "./api/work.js";
import type { Sorting } from "./api/sorting.js";
import type { Diagnosis } from "./doctor/examine.js";
import { Run, Scoring, workOf } from "./run.js";
import { loadWorkerCommands } from "./worker-package.js";

/** What {@link Trommel.train} takes besides images and recipe. */
export interface TrainOptions extends StartOptions {
  /** Id of the run. @default one that comes from what it is */
  readonly id?: string | undefined;
  /** A table that lists the images, with keys under the prefix or whole locations. @default every object under the prefix */
  readonly manifest?: AskedManifest | undefined;
  /** Takes the images within the tar, zip and Parquet archives under the prefix. @default if the prefix is one archive */
  readonly archives?: AskedArchives | undefined;
  /** The place that the bundle is copied to, besides the store. @default the value of the recipe's `environment.output` */
  readonly output?: string | undefined;
}

/** What {@link Trommel.examine} takes. */
export interface ExamineOptions extends CallOptions {
  /** The device that is tried. @default "cpu" */
  readonly device?: Device | undefined;
  /** What one check may take, milliseconds; reading backbones may take six times as long. @default 10 seconds */
  readonly timeoutMs?: number | undefined;
}

/** What {@link Trommel.scoreFiles} takes. */
export interface ScoreFilesOptions extends CallOptions {
  /** @default "jsonl" */
  readonly format?: ScoreFormat | undefined;
}

/** What {@link Trommel.predict} takes besides files. */
export interface PredictFilesOptions extends CallOptions {
  /** A finished run, its id, or the location of a bundle. */
  readonly model: Run | string;
  /** Labels of each image. @default 5, or all where the model has fewer */
  readonly topK?: number | undefined;
  /** As {@link ScoreOptions.unknownAbove}. */
  readonly unknownAbove?: number | undefined;
  /** As {@link ScoreOptions.minProbability}. */
  readonly minProbability?: number | "thresholds" | undefined;
  /** @default "cpu" */
  readonly device?: Device | undefined;
  /** Threads of the device's runtime. @default the machine's cores */
  readonly threads?: number | undefined;
}

/** The classification of some files. */
export interface Prediction {
  /** Location of the bundle that made it. */
  readonly bundle: string;
  /** One for each file, in their order: its labels, or the reason why it cannot be read. */
  readonly rows: readonly PredictedRow[];
}

/**
 * A store, and what works on it: see `openTrommel`. Every call takes an `AbortSignal`. Nothing is printed and no exit code is
 * set; remarks go to `onNotice`.
 */
export class Trommel implements AsyncDisposable {
  /** Brings in frozen networks. */
  readonly backbones: Backbones;
  /** Looks at recipes. */
  readonly recipes: Recipes;
  /** Removes what nobody refers to. */
  readonly storeKeeping: StoreKeeping;
  readonly #connections: Connections;
  readonly #closing = new AbortController();
  readonly #host: WorkHost;
  readonly #works = new Set<Work>();
  #closed: Promise<void> | undefined;

  /** @internal */
  constructor(options: TrommelOptions) {
    const connections = new Connections(resolveOptions(options));
    this.#connections = connections;
    this.backbones = new Backbones(connections);
    this.recipes = new Recipes(connections.options.folder);
    this.storeKeeping = new StoreKeeping(connections);
    this.#host = {
      connections,
      signal: eitherSignal(options, this.#closing.signal),
      keep: (work) => void this.#works.add(work),
    };
    // Above the store and beneath the cluster: written when nothing can be done any more that would make it untrue.
    connections.releases.add("error notes", async () => {
      for (const work of this.#works) await work.noteEnd();
    });
  }

  /** @internal What the handle holds, for the server that is opened on it. */
  get connections(): Connections {
    return this.#connections;
  }

  /** The store's objects, for reading artefacts. */
  get store(): ObjectStore {
    return this.#connections.store;
  }

  /**
   * Trains a classifier. The same images, recipe and id are the same run: it is continued, or found complete.
   * @param prefix a folder or `s3://bucket/prefix` of labelled images; undefined takes the value of the recipe's
   *   `environment.input`
   * @param recipe fields of a recipe, or a built-in recipe's name or a file
   * @throws TrommelError `invalid-argument`, `not-found` for a backbone or a label file, `bad-dataset` for the labels,
   *   `conflict` for the id or the output, `unavailable` for the Redis
   */
  async train(
    prefix: string | undefined,
    recipe: RecipeInput | string,
    options: TrainOptions = {},
  ): Promise<Run> {
    return abortable(options, async () => {
      const { config, claim } = await this.#resolve({ prefix, recipe, ...options });
      const run = new Run(this.#host, { kind: "run", id: config.id, config });
      const { detach, priority, jobsAtMost } = options;
      await run.begin({ detach, priority, jobsAtMost, claim });
      return run;
    });
  }

  /**
   * What a training would work on: its images and, where the recipe tunes, rounds, steps and the time that they take, by a step that
   * a worker measures. Everything that {@link train} refuses before it queues anything is refused, and rounds that last longer than a
   * worker's drain; nothing is written.
   * @throws TrommelError as {@link train} does
   */
  async forecast(
    prefix: string | undefined,
    recipe: RecipeInput | string,
    options: Omit<TrainOptions, "detach"> = {},
  ): Promise<TrainingForecast> {
    return abortable(options, async () => {
      const { config } = await this.#resolve({ prefix, recipe, ...options });
      return forecastRun(
        this.store,
        config,
        async () => (await this.#connections.producerOrCluster()).producer,
      );
    });
  }

  /**
   * Scores every image under a prefix, or every one that a manifest lists. The same call again, with the scoring complete, lists the
   * source again: where something has changed, it opens the scoring's next generation, which scores what is new or changed and keeps
   * every other row. An unfinished scoring is continued, with the listing that it has.
   * @param prefix a folder or `s3://bucket/prefix`; undefined for a manifest of whole locations, and with `featuresOf` or
   *   `rescore`
   * @throws TrommelError `not-found` for the model, `conflict` where the output holds another scoring, `invalid-argument`
   */
  async score(prefix: string | undefined, options: ScoreOptions): Promise<Scoring> {
    optionsGiven(options, "score", "model and output");
    return abortable(options, async () => {
      const { config, ...claims } = await resolveScoringRequest(this.#connections, prefix, options);
      const scoring = new Scoring(this.#host, { kind: "scoring", id: config.id, config });
      const { detach, priority, jobsAtMost, signal } = options;
      await scoring.beginLatest({ detach, priority, jobsAtMost, signal, ...claims });
      return scoring;
    });
  }

  /**
   * Scores a source again and again: at once and then with every tick it is listed, and what is new or changed is the scoring's next
   * generation, as with {@link score}. Ticks that come meanwhile are passed over. It ends when a signal aborts or the handle is closed.
   * @returns what each tick came to
   * @throws TrommelError `invalid-argument` for the interval; what {@link score} throws and another tick does not change
   */
  watchScoring(prefix: string | undefined, options: WatchOptions): AsyncGenerator<WatchedScoring> {
    optionsGiven(options, "watch a source", "model, output and every");
    const { every: _, ...asked } = options;
    return watchScoring(
      {
        score: () => this.score(prefix, asked),
        forget: (scoring) => void this.#works.delete(scoring),
        checkCluster: () => this.#connections.checkCluster(),
        signal: eitherSignal(options, this.#host.signal),
      },
      options,
    );
  }

  /**
   * What a scoring would work on, how long it may take, and how many workers the cluster has. The time is by the last scoring of the same
   * model; without one a worker scores a few of the images and drops the scores. Everything that {@link score} refuses before it queues
   * anything is refused; nothing is written.
   * @throws TrommelError as {@link score} does
   */
  async forecastScoring(
    prefix: string | undefined,
    options: Omit<ScoreOptions, "detach">,
  ): Promise<ScoringForecast> {
    optionsGiven(options, "score", "model and output");
    return abortable(options, async () => {
      const { config } = await resolveScoringRequest(this.#connections, prefix, options);
      return forecastScoring(this.store, config, eitherSignal(options, this.#host.signal), {
        producer: await this.#connections.producer(),
        openProducer: async () => (await this.#connections.producerOrCluster()).producer,
      });
    });
  }

  /**
   * The current files of a scoring in one format, in order: of its last complete generation, and what that keeps of earlier ones.
   * @param source a scoring, its id, or the location of its output
   * @throws TrommelError `conflict` for a scoring that was never complete, `invalid-argument` for a format that it does not have
   */
  async scoreFiles(
    source: Scoring | string,
    { format = "jsonl", ...options }: ScoreFilesOptions = {},
  ): Promise<CurrentFiles> {
    const text = source instanceof Scoring ? source.id : source;
    const { folder } = this.#connections.options;
    return abortable(options, () => readCurrentFiles(this.store, text, format, folder));
  }

  /**
   * The current scores of a scoring in one format, file after file as one text: of CSV files, the header of the first alone.
   * @throws TrommelError as {@link scoreFiles} does, and `invalid-argument` for Parquet, whose files are no text
   */
  async *readScores(source: Scoring | string, options: ScoreFilesOptions = {}): AsyncGenerator<Uint8Array> {
    const { format = "jsonl" } = options;
    if (format === "parquet")
      throw new TrommelError(
        "invalid-argument",
        "cannot read scores as parquet: they are lines of text. 'trommel scores files' names the files",
      );
    yield* concatenateScores(await this.scoreFiles(source, options), options);
  }

  /**
   * Measures a model on labelled images: scores them first, or joins labels with scores that are there. The store keeps what
   * comes of it, so that the same images, labels and model are evaluated once.
   * @param source a folder or `s3://bucket/prefix` of labelled images, or a finished scoring, its id or the location of its output
   * @throws TrommelError `not-found` for a model or labels, `bad-dataset` for the labels, `conflict` for a scoring that is not
   *   complete, `invalid-argument`
   */
  async evaluate(source: Scoring | string, options: EvaluateOptions = {}): Promise<Evaluation> {
    return abortable(options, () => evaluate(this.#host, source, options));
  }

  /**
   * Classifies a few files without a queue; `loadClassifier` keeps a model for more.
   * @throws TrommelError `not-found` for the model, `device-unavailable`
   */
  async predict(files: readonly string[], options: PredictFilesOptions): Promise<Prediction> {
    optionsGiven(options, "predict", "model");
    filesGiven(files, "predict");
    return abortable(options, async () => {
      const { folder } = this.#connections.options;
      const { location } = await resolveBundle(this.store, modelGiven(options.model, "predict"), folder);
      const worker = await loadWorkerCommands();
      const rows = await worker.predict({
        bundle: location,
        files: files.map((file) => pathFrom(folder, file)),
        device: options.device ?? "cpu",
        threads: options.threads ?? availableParallelism(),
        ...{ topK: options.topK, unknownAbove: options.unknownAbove, minProbability: options.minProbability },
      });
      return { bundle: location, rows: rows.map((row, i) => ({ ...row, key: files[i] ?? row.key })) };
    });
  }

  /** A run, scoring or sorting by its id. @throws TrommelError `not-found` naming the ids that exist */
  async run(id: string, options: CallOptions = {}): Promise<Run | Scoring | Sorting> {
    const known = textGiven(id, "look up a run", "id", "the id of a run or scoring");
    return abortable(options, async () => workOf(this.#host, await findSubject(this.store, known)));
  }

  /**
   * A scoring of this store.
   * @param source its id, or the location of its output
   * @throws TrommelError `not-found`, `invalid-argument` for the id of a run or sorting
   */
  async scoring(source: string, options: CallOptions = {}): Promise<Scoring> {
    const text = textGiven(source, "look up a scoring", "source", "the id or the output of a scoring");
    const { folder } = this.#connections.options;
    return abortable(options, async () => {
      const config = await requireScoring(this.store, text, folder, "use");
      return new Scoring(this.#host, { kind: "scoring", id: config.id, config });
    });
  }

  /** Every run, scoring and sorting of the store, in order of their ids, and how each is. */
  async list(options: CallOptions = {}): Promise<ListedWork[]> {
    return abortable(options, () => listWorks(this.#connections));
  }

  /**
   * Looks at all that a cluster needs: this machine, Redis, the store, its backbones, and who serves. Every check ends in time, and
   * what is wrong is a finding: nothing is thrown. It writes a few objects into the store and removes them.
   */
  async examine(options: ExamineOptions = {}): Promise<Diagnosis> {
    const { device = "cpu", timeoutMs = 10_000 } = options;
    const { storeUrl, redis, env } = this.#connections.options;
    const redisServer = env["TROMMEL_REDIS_SERVER"] ?? "redis-server";
    return abortable(options, async () => {
      const { examine } = await import("./doctor/examine.js");
      return examine({ storeUrl, redis, redisServer, device, timeoutMs });
    });
  }

  /**
   * The coordinators and workers that serve the configured Redis now, and what each has and does.
   * @throws TrommelError `invalid-argument` without a Redis
   */
  async members(options: CallOptions = {}): Promise<ClusterMember[]> {
    return abortable(options, async () => {
      const producer = await this.#connections.producer();
      if (producer !== undefined) return listMembers(producer.redis);
      throw new TrommelError(
        "invalid-argument",
        "cannot list workers: they are those of a Redis, and none is given. Give --redis or TROMMEL_REDIS_URL",
      );
    });
  }

  /**
   * Stops what the handle works on and releases everything: workers, Redis, connections. What is done is kept; why work
   * stopped that was not finished is written into the store.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** {@link Trommel.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#closing.abort("closed");
    await Promise.all([...this.#works].map((work) => work.settled()));
    await this.#connections.close();
  }

  #resolve(request: TrainingRequest): ReturnType<typeof resolveTraining> {
    return resolveTraining(this.#connections, this.recipes, request);
  }
}
