import { canonicalJson, encodeHeadWeights, type Metrics, type RunConfig } from "@trommel/common";
import { evaluate } from "../head/model/evaluate.js";
import { predictProbabilities } from "../head/model/predict-head.js";
import { trainHead, type TrainedHead, type TrainHeadInputs } from "../head/train-head.js";
import type { StageContext, StageOutcome } from "./context.js";
import { settleSplit } from "./dividing/settle-split.js";
import { readProjection } from "./inputs/projection.js";
import { publishedHead, readRunConfig, type ResolvedRun } from "./inputs/run.js";
import { isTrained, readTrained } from "./inputs/trained-head.js";
import { keepCheckpoint, storedCheckpoints } from "./training/checkpoints.js";
import { commitTrained } from "./training/commit-trained.js";
import { measureParts } from "./training/measure-parts.js";
import { readLabelledRows, type LabelledRows } from "./training/training-rows.js";
import { groupsOfPlaces } from "./training/validation-groups.js";
import { jsonBytes } from "@trommel/common/codec";

/**
 * Train: feature shards, labels, projection → head, metrics.
 *
 * In: every feature shard, the split (copies and groups on one side of it), the labels and the projection. Out: `head/weights.safetensors`, `head/metrics.json`,
 * and the kept epoch's checkpoint if the recipe asks for checkpoints. A retry finds both markers, continues from the last
 * checkpoint, or trains again from the same seed, to the same bytes. A head that another worker left without metrics is
 * replaced, so that both are always of one training.
 */
export async function train(runId: string, context: StageContext): Promise<StageOutcome> {
  const { store } = context;
  const config = await readRunConfig(store, runId);
  const { checkpoints: saves } = config.recipe.training;
  if (!(await isTrained(store, runId))) await trainAndCommit(config, context);
  if (saves) await keepCheckpoint(store, runId, (await readTrained(store, runId)).metrics.bestEpoch);
  return { images: 0, failed: 0 };
}

async function trainAndCommit(config: ResolvedRun, context: StageContext): Promise<void> {
  const { store, signal } = context;
  const { training } = config.recipe;
  const head = publishedHead(config);
  const projection = await readProjection(store, config);
  const { split, related, notes, contradictions } = await settleSplit(config, context);
  for (const note of notes) context.onNote(note);
  const rows = await readLabelledRows({ store, config, split, projection, threads: context.threads, signal });
  const groupOf = groupsOfPlaces(rows.validationPlaces, related);
  const trained = await trainHead({
    ...headInputs(config, rows),
    validationGroups: groupOf,
    engine: context.engine,
    threads: context.threads,
    ...(training.checkpoints ? { checkpoints: storedCheckpoints(store, config.id) } : {}),
    ...followers(context, training.optimizer.type === "lbfgs" ? 1 : training.epochs),
    signal,
  });
  const measured = await measure(config, rows, { ...trained, groupOf }, context);
  await commitTrained(store, config.id, {
    weights: encodeHeadWeights(trained.weights, { head: canonicalJson(head) }),
    metrics: jsonBytes({ ...measured, notes: [...measured.notes, ...notes], contradictions }),
    counts: { labels: [...rows.labels], counts: [...rows.counts], trainRows: rows.train.labels.length },
  });
}

function headInputs(config: RunConfig, rows: LabelledRows): TrainHeadInputs {
  const { training, seed } = config.recipe;
  const head = publishedHead(config);
  const { train: trainRows, validation, heldBack } = rows;
  const classNames = rows.labels;
  const classCount = classNames.length;
  const refitRows = heldBack === undefined ? {} : { heldBack };
  return { train: trainRows, validation, ...refitRows, classCount, classNames, head, training, seed };
}

/** A refit counts on from the epochs of the training. */
function followers(context: StageContext, epochs: number): Pick<TrainHeadInputs, "onEpoch" | "onRefitEpoch"> {
  return {
    onEpoch: ({ epoch, validationAccuracy, validationLoss }) => {
      context.onUnits(epoch, epochs);
      context.onNote(
        `validation accuracy ${validationAccuracy.toFixed(4)}, loss ${validationLoss.toFixed(4)}`,
      );
    },
    onRefitEpoch: ({ epoch, trainLoss }, bestEpoch) => {
      context.onUnits(epochs + epoch, epochs + bestEpoch);
      context.onNote(`refit on all images, loss ${trainLoss.toFixed(4)}`);
    },
  };
}

/** The figures of the kept epoch's weights; those of a refit have only the test part left to be measured on. */
async function measure(
  config: ResolvedRun,
  rows: LabelledRows,
  trained: TrainedHead & { readonly groupOf: Int32Array },
  context: StageContext,
): Promise<Omit<Metrics, "contradictions">> {
  const { recipe } = config;
  const { features, labels } = rows.validation;
  const probabilities = predictProbabilities(
    publishedHead(config),
    trained.measuredWeights,
    features,
    labels.length,
  );
  const refitRows = rows.train.labels.length + (rows.heldBack?.labels.length ?? 0);
  return {
    ...evaluate(probabilities, labels, rows.labels),
    ...(await measureParts(config, rows, { ...trained, probabilities }, context)),
    measured: trained.refit === null ? "head" : "head-before-refit",
    training: recipe.training,
    bestEpoch: trained.bestEpoch,
    history: [...trained.history],
    refit: trained.refit === null ? null : { rows: refitRows, history: [...trained.refit] },
  };
}
