import { resolveClassWeights, TrommelError } from "@trommel/common";
import type { RoundSpan } from "@trommel/common/artefacts";
import { meanOneWeights } from "../../head/batches/class-weights.js";
import type { TuningBatch } from "../../tuning/engine/tuner.js";
import { tuningBatch, type BatchRecipe } from "../../tuning/rounds/batch-targets.js";
import { batchNumber, epochOrder, imagesOfBatch } from "../../tuning/rounds/epoch-order.js";
import { streamImages } from "../../image/read/image-stream.js";
import type { DeviceStageContext } from "../context.js";
import type { ImageBatch } from "../images/image-batches.js";
import { runBatches } from "../images/run-batches.js";
import type { TuningImages } from "./tuning-images.js";
import type { TuningRun } from "./tuning-run.js";

/**
 * A replica's batches of a round, each prepared while the one before it is learned from: the images are read and decoded as extraction
 * reads them, unless an earlier epoch has left them with the worker.
 * @param learn takes a batch to its end; called in order, one at a time. @param learn.step within the round, from 0
 * @throws TrommelError `unavailable`, retryable, if an image cannot be read that the run without tuning has read: it never drops out
 */
export async function eachBatch(
  run: TuningRun,
  tuned: TuningImages,
  part: RoundSpan & { readonly replica: number },
  context: DeviceStageContext,
  learn: (batch: TuningBatch, step: number) => Promise<void>,
): Promise<void> {
  const { rounds, untuned, plan } = run;
  const { replica, firstStep, steps } = part;
  const { batchSize } = rounds;
  // What a run that is continued has seen does not come again.
  const epoch = (plan.from?.epochs ?? 0) + part.epoch;
  const order = epochOrder(rounds.images, untuned.recipe.seed, epoch);
  const numbers = Array.from({ length: steps }, (_, step) => batchNumber(rounds, replica, firstStep + step));
  const images = numbers.flatMap((number) => [...imagesOfBatch(order, rounds, number)]);
  const entries = images.flatMap((image) => tuned.entries[image] ?? []);
  const recipe = batchRecipe(run, tuned);
  let step = 0;
  let learning: Promise<void> = Promise.resolve();
  const { keptImages, streamImages: stream = streamImages } = context;
  const failed = await runBatches({
    entries,
    source: untuned.dataset,
    decode: { ...untuned.recipe.decode, side: untuned.side },
    batchSize,
    context: {
      ...context,
      streamImages: (options) => keptImages.through(stream, untuned.dataset, options),
    },
    run: (batch) => {
      const at = step;
      step += 1;
      refuseGap(run, batch, at, entries);
      const labels = Int32Array.from(
        batch.positions,
        (position) => tuned.labels[images[position] as number] as number,
      );
      const number = numbers[at] as number;
      learning = learning.then(async () => {
        context.signal.throwIfAborted();
        await learn(
          tuningBatch(recipe, { pixels: batch.pixels, keys: batch.keys, labels }, { epoch, batch: number }),
          at,
        );
      });
      return learning;
    },
  });
  if (failed[0] !== undefined) throw lostImage(run, failed[0].key);
}

function batchRecipe({ tune, untuned, spec, classNames }: TuningRun, tuned: TuningImages): BatchRecipe {
  const counts = new Float64Array(classNames.length);
  for (const label of tuned.labels) counts[label]! += 1;
  const { views, seed } = untuned.recipe;
  return {
    ...{ tune, views, seed, classCount: classNames.length, dimension: spec.dimension },
    classWeights:
      tune.classWeights === "none"
        ? undefined
        : meanOneWeights(resolveClassWeights(tune.classWeights, classNames, counts), counts),
  };
}

/** A batch without one of its images holds an image of the next. */
function refuseGap(
  run: TuningRun,
  { positions }: ImageBatch,
  step: number,
  entries: readonly { readonly key: string }[],
): void {
  const first = step * run.rounds.batchSize;
  const gap = positions.findIndex((position, at) => position !== first + at);
  if (gap >= 0) throw lostImage(run, entries[first + gap]?.key ?? "");
}

/** @param key of the image */
export function lostImage({ config, untuned }: TuningRun, key: string): TrommelError {
  return new TrommelError(
    "unavailable",
    `cannot tune ${config.id}: ${JSON.stringify(key)} cannot be read any more, and the images are those that ${untuned.id} has read. Put it back, or train again under another id (--run)`,
    { context: { key } },
  );
}
