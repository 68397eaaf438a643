import { z } from "zod";
import { TrommelError } from "../errors.js";
import type { ScoreFormat } from "../recipe/recipe.js";

/** The key of each artefact in the store. Only this file spells them. */

export const runId = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,62}$/,
    "an id has 1 to 63 of a-z, 0-9, '.', '_', '-' and starts with a letter or digit",
  );

/** Shards and parts are numbered with five digits, more where five do not do. */
function ordinal(index: number): string {
  return String(index).padStart(5, "0");
}

/** Keys of a training run. */
export function runKeys(id: string) {
  const root = `runs/${id}`;
  return {
    root,
    config: `${root}/run.json`,
    shard: (index: number) => `${root}/shards/${ordinal(index)}.json`,
    listing: `${root}/listing.json`,
    split: `${root}/split.json`,
    /** Labels by key, where folders do not tell them. */
    labels: `${root}/labels.json`,
    /** Test part and groups by key, where a list or a column of the labels' table gives them. */
    division: `${root}/division.json`,
    statistics: (index: number) => `${root}/statistics/${ordinal(index)}.json`,
    /** Mean and deviation of the dataset's pixels, where the recipe asks for them. */
    normalization: `${root}/normalization.json`,
    gram: (index: number) => `${root}/grams/${ordinal(index)}.safetensors`,
    projection: `${root}/projection.safetensors`,
    /** With `head: auto`: sums over all rows; mean and deviation of every dimension without the test part. */
    moments: `${root}/moments.safetensors`,
    standardization: `${root}/standardization.safetensors`,
    fold: (index: number) => `${root}/folds/${ordinal(index)}.safetensors`,
    choice: `${root}/choice.json`,
    /** What heads that never saw an image say of it, by cells of the confusion matrix. */
    predictions: `${root}/predictions.safetensors`,
    /** The heads that were chosen, and what travels with them into the bundle. */
    ensemble: `${root}/ensemble.safetensors`,
    novelty: `${root}/novelty.safetensors`,
    head: `${root}/head/weights.safetensors`,
    metrics: `${root}/head/metrics.json`,
    checkpoints: `${root}/head/checkpoints/`,
    checkpoint: (epoch: number) => `${root}/head/checkpoints/${ordinal(epoch)}.safetensors`,
    /** The keys of a run that tunes its backbone. */
    tuning: tuningKeys(root),
    bundle: `${root}/bundle`,
    ledger: `${root}/ledger.json`,
    failedImages: `${root}/errors.jsonl`,
    ...controlKeys(root),
  } as const;
}

/** What steers a run, scoring or sorting from outside, and why it stopped. */
function controlKeys(root: string) {
  return {
    cancelled: `${root}/cancelled.json`,
    /** Next to the mark of a cancellation: it was paused. */
    paused: `${root}/paused.json`,
    /** How it is worked on after so many changes, see `steering.ts`. */
    steering: (changes: number) => `${root}/steering/${ordinal(changes)}.json`,
    steeringFolder: `${root}/steering/`,
    /** Why it stopped, until its next attempt. */
    stopReason: `${root}/error.json`,
    cluster: `${root}/cluster.json`,
  } as const;
}

function tuningKeys(runRoot: string) {
  const root = `${runRoot}/tuning`;
  const checkpoints = `${root}/checkpoints/`;
  const changes = `${root}/changes/`;
  return {
    /** The numbers that its rounds go by. */
    plan: `${root}/plan.json`,
    checkpoints,
    /** What the rounds before it come to; the first round begins without one. */
    checkpoint: (round: number) => `${checkpoints}${ordinal(round)}.safetensors`,
    changes,
    /** What a replica has come to at the end of a round. */
    change: (round: number, replica: number) => `${changes}${ordinal(round)}-${replica}.safetensors`,
    rounds: `${root}/rounds/`,
    /** The figures of a round. */
    round: (round: number) => `${root}/rounds/${ordinal(round)}.json`,
    /** Which backbone the tuned network is. */
    backbone: `${root}/backbone.json`,
    /** Which backbones a run takes from the runs of its folds. */
    networks: `${root}/networks.json`,
  } as const;
}

/** Keys of a scoring in the store; its parts are under its own output prefix. */
export function scoringKeys(id: string) {
  const root = `scorings/${id}`;
  return {
    root,
    config: `${root}/scoring.json`,
    /** Those of its first generation are its own. */
    ...listedKeys(root),
    /** What a later one lists. @param number from 1 */
    generation: (number: number) => generationKeys(`${root}/generations/${ordinal(number)}`),
    /** Which keys are in the sample, where one is drawn. */
    sample: `${root}/sample.json`,
    /** How many images may fail; not part of what the scoring is. */
    failureLimit: `${root}/failure-limit.json`,
    ...controlKeys(root),
  } as const;
}

/** Keys of a sorting in the store; what it comes to is under its own target, see {@link sortedKeys}. */
export function sortingKeys(id: string) {
  const root = `sortings/${id}`;
  return {
    root,
    config: `${root}/sorting.json`,
    ...controlKeys(root),
  } as const;
}

/** Keys under the target of a sorting, besides `<label>/<key>`. */
export function sortedKeys(id: string) {
  const root = `_trommel/sorts/${id}`;
  return {
    /** What became of the images of a part, once all of it is done. */
    part: (index: number) => `${root}/parts/${ordinal(index)}.json`,
    /** With `move`: whose bytes are in their places; from then on, and not before, their sources are removed. */
    verified: (index: number) => `${root}/verified/${ordinal(index)}.json`,
    unplaced: `${root}/unplaced.jsonl`,
    ledger: `${root}/ledger.json`,
  } as const;
}

/** The keys of what was listed and tried again. */
function listedKeys(root: string) {
  return {
    shard: (index: number) => `${root}/shards/${ordinal(index)}.json`,
    listing: `${root}/listing.json`,
    /** The carried columns of a shard's entries, where the source has any. */
    columns: (index: number) => `${root}/columns/${ordinal(index)}.json`,
    /** What `trommel retry` asked for, by number. */
    retry: (index: number) => `${root}/retries/${ordinal(index)}.json`,
    /** The shards that came of it, once all of them are in place. */
    retryListing: (index: number) => `${root}/retries/${ordinal(index)}-listing.json`,
  } as const;
}
export type ListedKeys = ReturnType<typeof listedKeys>;

function generationKeys(root: string) {
  return {
    ...listedKeys(root),
    /** What it begins with; with it the generation is open. */
    request: `${root}/generation.json`,
    /** What its listing found that is new, changed or gone, once the listing is complete. */
    delta: `${root}/delta.json`,
  } as const;
}

/**
 * Keys of the evaluations of a model on a listing.
 * @param modelSha256 of its model.onnx
 * @param listing sha256 of what was listed
 */
export function evaluationKeys(modelSha256: string, listing: string) {
  const root = `evaluations/${modelSha256.slice(0, 12)}-${listing.slice(0, 12)}`;
  return {
    root,
    /** Output of the scoring that an evaluation made for itself. */
    scores: `${root}/scores`,
    /** The files of one evaluation. @param question sha256 of scores, labels and what is compared */
    evaluation: (question: string) => `${root}/${question.slice(0, 12)}`,
  } as const;
}

/** The keys that runs, scorings and sortings all have. */
export function subjectKeys({
  kind,
  id,
}: {
  readonly kind: "run" | "scoring" | "sorting";
  readonly id: string;
}) {
  if (kind === "run") return runKeys(id);
  return kind === "scoring" ? scoringKeys(id) : sortingKeys(id);
}

/** The listing that the shard with this key belongs to. */
export function listingKeyOf(shardKey: string): string {
  return shardKey.replace(/shards\/\d+\.json$/, "listing.json");
}

/** How the parts of each format are called: two of them are JSON lines, and two CSV. */
const partNames: Readonly<Record<ScoreFormat, { readonly stem: string; readonly extension: string }>> = {
  jsonl: { stem: "part", extension: "jsonl" },
  csv: { stem: "part", extension: "csv" },
  result: { stem: "result", extension: "jsonl" },
  kaggle: { stem: "kaggle", extension: "csv" },
  parquet: { stem: "part", extension: "parquet" },
};

/** Keys of a generation under a scoring's output prefix: those of the first are at its root. */
export function generationOutput(generation: number) {
  const folder = generation === 0 ? "" : `generation-${ordinal(generation)}/`;
  return {
    folder,
    part: (index: number, format: ScoreFormat) => {
      const { stem, extension } = partNames[format];
      return `${folder}${stem}-${ordinal(index)}.${extension}`;
    },
    failedImages: `${folder}errors.jsonl`,
    ledger: `${folder}ledger.json`,
    counts: `${folder}counts.json`,
    /** The parts of the format `kaggle` as one file. */
    submission: `${folder}submission.csv`,
    /** What is new, changed or gone since the generation before; a later one has it. */
    changes: `${folder}changes.jsonl`,
    /** The images with another label than in the scoring that this one rescores, and their counts. */
    differences: `${folder}differences.jsonl`,
    differenceCounts: `${folder}differences.json`,
  } as const;
}

/** Keys under a scoring's output prefix. */
export const outputKeys = {
  ...generationOutput(0),
  success: "_SUCCESS.json",
  /** Which scoring it is the output of. */
  owner: "_trommel/scoring.json",
} as const;

export function featureShardKey(fingerprint: string, shardHash: string): string {
  return `features/${fingerprint}/${shardHash}.safetensors`;
}

export function backboneKeys(id: string) {
  const root = `backbones/${id}`;
  return {
    root,
    spec: `${root}/spec.json`,
    model: `${root}/model.onnx`,
    layersModel: `${root}/layers/model.json`,
    layersWeights: `${root}/layers/weights.bin`,
  } as const;
}

/** @throws TrommelError `invalid-argument` where the text is no run id */
export function checkRunId(text: string): string {
  const parsed = runId.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new TrommelError(
    "invalid-argument",
    `cannot use the id ${JSON.stringify(text)}: ${parsed.error.issues[0]?.message ?? "it is not legal"}. Choose another with --run`,
  );
}
