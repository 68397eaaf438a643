import { runKeys } from "@trommel/common";
import { changeMarker, checkpointMarker, replicaOfJob, roundSpan } from "@trommel/common/artefacts";
import { findCommitted } from "@trommel/common/codec";
import type { DeviceStageContext, StageOutcome } from "./context.js";
import { eachBatch } from "./tuning/round-images.js";
import { refuseDivergence } from "./tuning/divergence.js";
import { stepRates } from "./tuning/step-rates.js";
import { readTuningImages } from "./tuning/tuning-images.js";
import { readTuningRun } from "./tuning/tuning-run.js";

/**
 * Tune: checkpoint, images, labels, split → change.
 *
 * In: the checkpoint of the round (of the first, the backbone and the classifier of the run without tuning), and the replica's batches.
 * Out: `tuning/changes/<round>-<replica>.safetensors`, the replica's weights and its optimiser's state after the round. Order, views
 * and noise come from (seed, epoch, number of the batch), so a retry finds the marker, or trains again to the same bytes.
 * @throws TrommelError `invalid-argument` where the loss is not finite, or huge, `unavailable` for an image that cannot be read any more
 */
export async function tune(runId: string, job: number, context: DeviceStageContext): Promise<StageOutcome> {
  const { store, signal } = context;
  const run = await readTuningRun(store, runId);
  const { round, replica } = replicaOfJob(run.rounds, job);
  const { change, checkpoint } = runKeys(runId).tuning;
  const done = { images: 0, failed: 0 };
  // Once a round is merged its changes go.
  if ((await findCommitted(store, checkpoint(round + 1), checkpointMarker)) !== undefined) return done;
  if ((await findCommitted(store, change(round, replica), changeMarker)) !== undefined) return done;
  const span = roundSpan(run.rounds, round);
  const { tuned } = await readTuningImages(store, run, signal);
  const rateAt = await stepRates(store, run, span);
  let [loss, correct] = [0, 0];
  const tuner = await context.tuner.open({ runId, round, replica });
  for (const notice of tuner.notices) context.log.warn({ run: runId }, notice);
  try {
    await eachBatch(run, tuned, { ...span, replica }, context, async (batch, step) => {
      const figures = await tuner.step(batch, rateAt(step));
      refuseDivergence(run, figures.loss, { round, step: span.firstStep + step });
      loss += figures.loss;
      correct += figures.correct;
      context.onNote(
        `round ${round + 1} of ${run.rounds.rounds}, step ${step + 1} of ${span.steps}, loss ${figures.loss.toFixed(4)}`,
      );
    });
    const images = span.steps * run.rounds.batchSize;
    await tuner.commit({ loss: loss / span.steps, accuracy: correct / images });
  } finally {
    await tuner.close();
  }
  return done;
}
