import { z } from "zod";
import { TrommelError } from "../../errors.js";
import type { TuneRecipe } from "../../recipe/tune-recipe.js";

/**
 * How the epochs of a tuning are cut into rounds: numbers of the recipe, the network and the images, and never of the cluster.
 *
 * An epoch has as many batches as its images fill, and each replica takes every `replicas`-th of them, equally many each; images
 * that are left over sit this epoch out, and the next one has another order. A round is at most `localSteps` steps of each
 * replica and ends with its epoch, so that the loss after an epoch is always that of a checkpoint.
 */
export const roundNumbers = z
  .object({
    /** Images that are tuned on. */
    images: z.int().positive(),
    batchSize: z.int().positive(),
    replicas: z.int().positive(),
    epochs: z.int().positive(),
    /** Steps of each replica. */
    stepsPerEpoch: z.int().positive(),
    /** Steps of each replica in a round, at most. */
    localSteps: z.int().positive(),
    roundsPerEpoch: z.int().positive(),
    rounds: z.int().positive(),
  })
  .strict();
export type TuningRounds = Readonly<z.infer<typeof roundNumbers>>;

/** The steps of a round. */
export interface RoundSpan {
  /** From 1. */
  readonly epoch: number;
  /** The first step within its epoch, from 0. */
  readonly firstStep: number;
  readonly steps: number;
  readonly endsEpoch: boolean;
}

/** What decides how long a step takes. */
export interface NetworkSize {
  readonly parameterCount: number;
  readonly inputSize: number;
}

/**
 * Parameters times pixels times images that a round is made of, about a minute on a core: MobileNetV1 0.75 at 224 pixels has 1.8
 * million parameters and learns from 30 images a second there.
 */
const workOfRound = 2e14;

/** @throws TrommelError `invalid-argument` if a batch is larger than a replica's part of the images */
export function tuningRounds(tune: TuneRecipe, images: number, network: NetworkSize): TuningRounds {
  const { batchSize, replicas, epochs } = tune;
  const stepsPerEpoch = Math.floor(images / (batchSize * replicas));
  if (stepsPerEpoch === 0) {
    const part = Math.floor(images / replicas);
    const why = replicas === 1 ? "a batch has more" : `each of the ${replicas} replicas has ${part} of them`;
    throw new TrommelError(
      "invalid-argument",
      `cannot tune on ${images} images in batches of ${batchSize}: ${why}. ${smallerParts(images, { batchSize, replicas })}`,
      { context: { images, batchSize, replicas } },
    );
  }
  const localSteps = Math.min(
    stepsPerEpoch,
    tune.localSteps ?? defaultLocalSteps(tune, stepsPerEpoch, network),
  );
  const roundsPerEpoch = Math.ceil(stepsPerEpoch / localSteps);
  return {
    ...{ images, batchSize, replicas, epochs, stepsPerEpoch, localSteps, roundsPerEpoch },
    rounds: epochs * roundsPerEpoch,
  };
}

/** What fits: a batch has at least two images. */
function smallerParts(
  images: number,
  { batchSize, replicas }: Pick<TuneRecipe, "batchSize" | "replicas">,
): string {
  const part = Math.floor(images / replicas);
  const most = Math.floor(images / batchSize);
  const ways = [
    ...(part < 2 ? [] : [`tune.batchSize to ${part} or less`]),
    ...(replicas === 1 || most < 1 ? [] : [`tune.replicas to ${most} or less`]),
    ...(part < 2 && replicas > 1 && most < 1 && images >= 2
      ? ["tune.replicas to 1 and tune.batchSize to 2"]
      : []),
  ];
  return ways.length === 0 ? "Add images" : `Set ${ways.join(", or ")}`;
}

/** The rounds of an epoch are about equally long. */
function defaultLocalSteps(
  { batchSize }: TuneRecipe,
  stepsPerEpoch: number,
  { parameterCount, inputSize }: NetworkSize,
): number {
  const most = Math.max(1, Math.round(workOfRound / (parameterCount * inputSize ** 2 * batchSize)));
  return Math.ceil(stepsPerEpoch / Math.ceil(stepsPerEpoch / most));
}

/** @param round from 0 */
export function roundSpan(of: TuningRounds, round: number): RoundSpan {
  const { stepsPerEpoch, localSteps, roundsPerEpoch } = of;
  const inEpoch = round % roundsPerEpoch;
  const firstStep = inEpoch * localSteps;
  return {
    epoch: 1 + Math.floor(round / roundsPerEpoch),
    firstStep,
    steps: Math.min(localSteps, stepsPerEpoch - firstStep),
    endsEpoch: inEpoch === roundsPerEpoch - 1,
  };
}

/** The number of a replica's job among all of a run. */
export function replicaJob(
  { replicas }: Pick<TuningRounds, "replicas">,
  round: number,
  replica: number,
): number {
  return round * replicas + replica;
}

export function replicaOfJob(
  { replicas }: Pick<TuningRounds, "replicas">,
  job: number,
): { readonly round: number; readonly replica: number } {
  return { round: Math.floor(job / replicas), replica: job % replicas };
}
