import { runKeys } from "../artefacts/store-keys.js";

/**
 * The stage table: everything that differs from stage to stage, once. Payloads and queues, flow and barriers, the planner's and
 * the worker's routes, what followers see and the docs derive from it.
 *
 * A new stage is one entry here and one file: `packages/gpu-worker/src/stages/<stage>.ts` (`packages/coordinator/src/plan/<stage>.ts`
 * for a plan), which exports a function under the stage's name in camel case (see `load-stage.ts`).
 */

/** Queues that workers serve; `plan` is served by coordinators. */
export const workerQueues = ["extract", "tune", "score", "reduce", "fold"] as const;
export type WorkerQueue = (typeof workerQueues)[number];
export type QueueName = WorkerQueue | "plan";

export type SubjectKind = "run" | "scoring" | "sorting";

/** What a subject's configuration decides about its stages. */
export interface SubjectTraits {
  /** The recipe tunes the backbone: the run follows one that does not, and begins with rounds of tuning. */
  readonly tuned: boolean;
  /** The dataset's own pixels normalise the run, so that they are measured first. */
  readonly measured: boolean;
  /** `head: auto`: candidates are tried on folds. */
  readonly folded: boolean;
  /** Every other head: its epoch is kept by a validation part. */
  readonly validated: boolean;
}

/** Shards that one gram covers: a slice of the merge tree's leaves. */
export const shardsPerGram = 16;

/** How many shards a job of each unit covers; a stage of the unit `one` has a single job, and the others of 0 need them all. */
const shardsPerUnit = { shard: 1, gram: shardsPerGram, fold: 0, replica: 0, round: 0 } as const;
export type ManyUnit = keyof typeof shardsPerUnit;

interface StageEntry {
  readonly queue: QueueName;
  /** What one job is about; the payload of a stage of many jobs holds its number under this name. */
  readonly unit: ManyUnit | "one";
  readonly subject: SubjectKind;
  /**
   * `coordinator`; `decoding`: the worker's main thread, which decodes images; `device`: the same, and the device computes;
   * `tuning`: the same, and a thread tunes a network; `reduce`: the worker's thread for long computations on the CPU; `fold`: one
   * of as many such threads as it may use, each of which computes with a single thread; `copying`: the worker's main thread, which
   * decodes nothing and waits for stores.
   */
  readonly runsOn: "coordinator" | "decoding" | "device" | "tuning" | "reduce" | "fold" | "copying";
  /** Present if the stage belongs only to subjects with this trait. */
  readonly onlyIf?: keyof SubjectTraits;
  /**
   * For a stage of many jobs: the stage whose job is queued above them and starts when the last of them has ended. If that is a
   * stage of a single job, it waits for every job of the run or scoring; otherwise each of its jobs waits for its own group.
   */
  readonly barrier?: string;
  /**
   * An object that the stage needs and its place in the flow does not guarantee. A job that comes earlier steps back, as long as
   * the job of `stage` is queued, which writes it.
   */
  readonly needs?: { readonly stage: string; readonly object: (id: string) => string };
  /** What followers see it count; null if they do not see the stage. A stage of `epochs` reports its own counts. */
  readonly counts: "images" | "epochs" | "jobs" | null;
  /** Whether its failed images are those of the ledger. */
  readonly inLedger?: true;
  readonly consumes: string;
  readonly produces: string;
  readonly waitsFor: string;
  /** What it does, in a sentence for the docs. */
  readonly about: string;
}

/**
 * In the order in which a subject meets them: the job of each stage of the unit `one` waits for that of the one before it, and
 * for all jobs whose barrier it is. The last one's job is the root, with which the run or scoring ends.
 */
const table = {
  "plan-tune": {
    queue: "plan",
    unit: "one",
    subject: "run",
    runsOn: "coordinator",
    onlyIf: "tuned",
    counts: "jobs",
    consumes: "the run without tuning, rounds",
    produces: "plan of the rounds",
    waitsFor: "the bundle of the run without tuning",
    about:
      "Queues the rounds of tuning, one after another, until the last one is merged, the loss no longer falls, or a job fails",
  },
  tune: {
    queue: "tune",
    unit: "replica",
    subject: "run",
    runsOn: "tuning",
    onlyIf: "tuned",
    barrier: "merge",
    counts: "jobs",
    consumes: "plan, checkpoint, images, labels, split",
    produces: "change",
    waitsFor: "the checkpoint of its round",
    about: "Trains a replica of the network for the steps of a round, on its own batches of the epoch",
  },
  merge: {
    queue: "reduce",
    unit: "round",
    subject: "run",
    runsOn: "reduce",
    onlyIf: "tuned",
    barrier: "adopt",
    counts: "jobs",
    consumes: "checkpoint, changes",
    produces: "checkpoint, figures of the round",
    waitsFor: "every change of the round",
    about: "Merges the replicas of a round into the next checkpoint, and measures it on the held-out images",
  },
  adopt: {
    queue: "reduce",
    unit: "one",
    subject: "run",
    runsOn: "reduce",
    onlyIf: "tuned",
    counts: null,
    consumes: "checkpoint",
    produces: "backbone",
    waitsFor: "every round",
    about:
      "Stores the tuned network as a backbone, or names those of the folds; the following stages use them",
  },
  "plan-measure": {
    queue: "plan",
    unit: "one",
    subject: "run",
    runsOn: "coordinator",
    onlyIf: "measured",
    counts: null,
    consumes: "prefix",
    produces: "shards, split",
    waitsFor: "nothing",
    about: "Lists the dataset into shards and queues the measuring of their pixels",
  },
  measure: {
    queue: "extract",
    unit: "shard",
    subject: "run",
    runsOn: "decoding",
    onlyIf: "measured",
    barrier: "normalize",
    counts: "images",
    consumes: "shard",
    produces: "pixel statistics",
    waitsFor: "nothing",
    about: "Decodes a shard's images and sums their pixels by channel",
  },
  normalize: {
    queue: "reduce",
    unit: "one",
    subject: "run",
    runsOn: "reduce",
    onlyIf: "measured",
    counts: "jobs",
    consumes: "pixel statistics",
    produces: "normalization",
    waitsFor: "the statistics of every shard",
    about: "Merges the sums of all shards into the mean and deviation of each channel",
  },
  "plan-run": {
    queue: "plan",
    unit: "one",
    subject: "run",
    runsOn: "coordinator",
    counts: null,
    consumes: "prefix",
    produces: "shards, split",
    waitsFor: "nothing, or normalization",
    about: "Lists the dataset into shards, queues their extraction as they are listed, and chooses the split",
  },
  "plan-scoring": {
    queue: "plan",
    unit: "one",
    subject: "scoring",
    runsOn: "coordinator",
    counts: null,
    consumes: "prefix",
    produces: "shards",
    waitsFor: "nothing",
    about: "Lists the source into shards and queues their scoring as they are listed",
  },
  extract: {
    queue: "extract",
    unit: "shard",
    subject: "run",
    runsOn: "device",
    barrier: "gram",
    counts: "images",
    inLedger: true,
    consumes: "shard",
    produces: "feature shard",
    waitsFor: "nothing",
    about: "Runs the views of a shard's images through the backbones and stores their embeddings",
  },
  gram: {
    queue: "reduce",
    unit: "gram",
    subject: "run",
    runsOn: "reduce",
    barrier: "solve",
    // The listing is nearly always complete long before a gram's shards are.
    needs: { stage: "plan-run", object: (id: string) => runKeys(id).listing },
    counts: "jobs",
    consumes: "feature shards, split",
    produces: "gram",
    waitsFor: "its own group of shards",
    about:
      "Multiplies the training embeddings of a group of shards into one gram; for `head: auto` only sums them and their squares",
  },
  solve: {
    queue: "reduce",
    unit: "one",
    subject: "run",
    runsOn: "reduce",
    counts: "jobs",
    consumes: "grams",
    produces: "projection",
    waitsFor: "every gram",
    about:
      "Merges the grams and computes the projection from their eigenpairs; for `head: auto` only merges them",
  },
  divide: {
    queue: "reduce",
    unit: "one",
    subject: "run",
    runsOn: "reduce",
    onlyIf: "folded",
    counts: null,
    consumes: "markers of the feature shards, labels",
    produces: "split",
    waitsFor: "every feature shard",
    about:
      "Divides the labelled images into folds and a test part; images with the same bytes and the images of a group stay together",
  },
  standardize: {
    queue: "reduce",
    unit: "one",
    subject: "run",
    runsOn: "reduce",
    onlyIf: "folded",
    counts: null,
    consumes: "grams, split, feature shards of the test part",
    produces: "standardization",
    waitsFor: "split",
    about: "Computes the mean and deviation of every dimension, without the test part",
  },
  "plan-folds": {
    queue: "plan",
    unit: "one",
    subject: "run",
    runsOn: "coordinator",
    onlyIf: "folded",
    counts: null,
    consumes: "split",
    produces: "nothing in the store",
    waitsFor: "standardization, or the runs of the folds",
    about:
      "Queues a job for every candidate and fold; for several folds of tuning it waits for the runs that tune a network for each",
  },
  fold: {
    queue: "fold",
    unit: "fold",
    subject: "run",
    runsOn: "fold",
    onlyIf: "folded",
    barrier: "choose",
    counts: "jobs",
    consumes: "feature shards, labels, split, standardization",
    produces: "heads, out-of-fold logits",
    waitsFor: "standardization",
    about: "Trains one candidate without one fold, and predicts that fold",
  },
  choose: {
    queue: "reduce",
    unit: "one",
    subject: "run",
    runsOn: "reduce",
    onlyIf: "folded",
    counts: "jobs",
    consumes: "out-of-fold logits",
    produces: "choice, heads, metrics, predictions",
    waitsFor: "every fold",
    about: "Chooses the candidate by its out-of-fold predictions, calibrates it, and measures it",
  },
  train: {
    queue: "reduce",
    unit: "one",
    subject: "run",
    runsOn: "reduce",
    onlyIf: "validated",
    counts: "epochs",
    consumes: "feature shards, split, projection",
    produces: "head, metrics",
    waitsFor: "projection",
    about: "Trains a head other than `auto` on projected embeddings and measures it on the validation images",
  },
  bundle: {
    queue: "reduce",
    unit: "one",
    subject: "run",
    runsOn: "reduce",
    counts: "jobs",
    consumes: "backbones, projection or standardization, heads",
    produces: "bundle, ledger",
    waitsFor: "head",
    about:
      "Writes the ledger, joins backbones, projection and heads into one graph, checks it and writes the report",
  },
  score: {
    queue: "score",
    unit: "shard",
    subject: "scoring",
    runsOn: "device",
    barrier: "close",
    counts: "images",
    inLedger: true,
    consumes: "shard, bundle",
    produces: "score part",
    waitsFor: "nothing",
    about: "Runs a shard's images through the bundle and writes their probabilities",
  },
  close: {
    queue: "reduce",
    unit: "one",
    subject: "scoring",
    runsOn: "reduce",
    counts: "jobs",
    consumes: "score parts",
    produces: "ledger, _SUCCESS.json",
    waitsFor: "every score part",
    about: "Checks every score part, adds up the ledger, merges the outputs and marks the scoring complete",
  },
  "plan-sorting": {
    queue: "plan",
    unit: "one",
    subject: "sorting",
    runsOn: "coordinator",
    counts: null,
    consumes: "parts of a finished scoring",
    produces: "nothing in the store",
    waitsFor: "nothing",
    about: "Queues a job for every score part of the scoring",
  },
  sort: {
    queue: "score",
    unit: "shard",
    subject: "sorting",
    runsOn: "copying",
    barrier: "close-sort",
    counts: "images",
    consumes: "score part, images",
    produces: "images in the folders of their labels, sorted part",
    waitsFor: "nothing",
    about: "Copies, links or moves the images of a score part into the folders of their labels",
  },
  "close-sort": {
    queue: "reduce",
    unit: "one",
    subject: "sorting",
    runsOn: "reduce",
    counts: "jobs",
    consumes: "sorted parts",
    produces: "ledger of the sorting",
    waitsFor: "every sorted part",
    about: "Adds up the sorted parts, names the images that were not placed and writes the ledger",
  },
} as const satisfies Readonly<Record<string, StageEntry>>;

type Table = typeof table;
export type Stage = keyof Table;

/** Stages of which an entry has this. */
type StageWith<Part> = { [S in Stage]: Table[S] extends Part ? S : never }[Stage];
export type UnitOf<S extends Stage> = Table[S]["unit"];
export type SingleStage = StageWith<{ readonly unit: "one" }>;
export type ShardStage = StageWith<{ readonly unit: "shard" }>;
/** Stages of many jobs. */
export type ManyStage = Exclude<Stage, SingleStage>;
/** Stages whose jobs wait, a group of them each, below a job of another stage of many. */
export type GroupedStage = { [S in ManyStage]: Table[S]["barrier"] extends ManyStage ? S : never }[ManyStage];

/** An entry whose references are stages that exist. */
type CheckedEntry = StageEntry & {
  readonly barrier?: Stage;
  readonly needs?: { readonly stage: SingleStage };
};

export const stageTable: Readonly<Record<Stage, CheckedEntry>> = table;

export const stages = Object.keys(table) as [Stage, ...Stage[]];

export function queueOf(stage: Stage): QueueName {
  return stageTable[stage].queue;
}

/** The stages of a subject, in order. */
export function stagesOf(kind: SubjectKind, traits: SubjectTraits): readonly Stage[] {
  return stages.filter((stage) => {
    const { subject, onlyIf } = stageTable[stage];
    return subject === kind && (onlyIf === undefined || traits[onlyIf]);
  });
}

/** The stage whose job is queued above the jobs of a stage of many, see `barrier`. */
export type BarrierOf<S extends ManyStage> = Table[S]["barrier"];

export function barrierOf<S extends ManyStage>(stage: S): BarrierOf<S> {
  return table[stage].barrier;
}

/**
 * The barrier of all jobs of a stage. If each job of its barrier waits for its own group, this is the barrier of those jobs.
 * @returns the stage of a single job, and how many shards each job covers that it waits for
 */
export function lastBarrierOf(stage: ManyStage): { readonly stage: SingleStage; readonly shards: number } {
  const { unit, barrier } = table[stage];
  return isMany(barrier) ? lastBarrierOf(barrier) : { stage: barrier, shards: shardsPerUnit[unit] };
}

function isMany(stage: Stage): stage is ManyStage {
  return stageTable[stage].unit !== "one";
}
