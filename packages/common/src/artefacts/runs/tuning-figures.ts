import { z } from "zod";
import { markerSchema } from "../../codec/marker.js";
import { parseSealedAs } from "../../codec/sealed-json.js";
import type { TuneRecipe } from "../../recipe/tune-recipe.js";
import type { ObjectStore } from "../../store/object-store.js";
import { TrommelError } from "../../errors.js";
import { readIfThere } from "../../store/read-if-there.js";
import { runKeys } from "../store-keys.js";
import type { TuningRounds } from "./tuning-rounds.js";

/** What a round of tuning came to: `tuning/rounds/<n>.json`, and in the marker of its checkpoint. */
export const roundFigures = z
  .object({
    /** From 0. */
    round: z.int().nonnegative(),
    /** From 1. */
    epoch: z.int().positive(),
    /** Steps of each replica since the first round. */
    steps: z.int().positive(),
    /** Means over the images of the round's batches, as they were drawn, smoothed and mixed. */
    training: z.object({ loss: z.number(), accuracy: z.number() }).strict(),
    /** The figures of the checkpoint on the images that tuning does not see, each as it is; null if it sees all. */
    heldOut: z
      .object({ images: z.int().positive(), loss: z.number(), accuracy: z.number() })
      .strict()
      .nullable(),
  })
  .strict();
export type RoundFigures = z.infer<typeof roundFigures>;

export const checkpointMarker = markerSchema.extend({ figures: roundFigures });

/** What a replica's change says of its steps. */
export const changeMarker = markerSchema.extend({
  training: z.object({ loss: z.number(), accuracy: z.number() }).strict(),
});

/** `tuning/backbone.json`: which backbone the tuned network is. */
export const tunedBackbone = z
  .object({
    id: z.string(),
    hash: z.string(),
    dimension: z.int().positive(),
    inputSize: z.int().positive(),
    /** The round, from 0, whose checkpoint it is. */
    round: z.int().nonnegative(),
  })
  .strict();
export type TunedBackbone = z.infer<typeof tunedBackbone>;

/** `tuning/networks.json`: the backbones that were tuned for the folds, in their order. */
export const foldNetworks = z.object({ backbones: z.array(tunedBackbone).min(2) }).strict();
export type FoldNetworks = z.infer<typeof foldNetworks>;

const storedRound = z.looseObject({ figures: roundFigures });

/** The figures of the rounds before one, or of all that are there. */
export async function readRoundFigures(
  store: ObjectStore,
  id: string,
  before = Number.POSITIVE_INFINITY,
): Promise<RoundFigures[]> {
  const { round: keyOf } = runKeys(id).tuning;
  const found: RoundFigures[] = [];
  for (let round = 0; round < before; round += 1) {
    const key = keyOf(round);
    const body = await readIfThere(store, key);
    if (body === undefined) break;
    found.push(parseSealedAs(storedRound, body, key).figures);
  }
  return found;
}

/** The round whose checkpoint is kept, the earlier of equal ones. */
export function keptRound(figures: readonly RoundFigures[], keep: TuneRecipe["keep"]): number {
  if (keep === "last") return figures.length - 1;
  const badness = (of: RoundFigures): number =>
    keep === "loss" ? heldOutOf(of).loss : -heldOutOf(of).accuracy;
  let best = 0;
  for (const [at, of] of figures.entries())
    if (badness(of) < badness(figures[best] as RoundFigures)) best = at;
  return best;
}

/** Whether no round follows these: all are over, or the held-out loss has not fallen for the recipe's patience. */
export function isTuned(
  figures: readonly RoundFigures[],
  { rounds, roundsPerEpoch }: TuningRounds,
  { patience }: Pick<TuneRecipe, "patience">,
): boolean {
  if (figures.length >= rounds) return true;
  if (patience === null || figures.length % roundsPerEpoch !== 0) return false;
  const losses = epochLosses(figures, roundsPerEpoch);
  const best = losses.indexOf(Math.min(...losses));
  return losses.length - 1 - best >= patience;
}

/** The held-out loss at the end of every epoch that is over. */
export function epochLosses(figures: readonly RoundFigures[], roundsPerEpoch: number): number[] {
  return figures.filter((_, round) => (round + 1) % roundsPerEpoch === 0).map((of) => heldOutOf(of).loss);
}

/** @throws TrommelError `internal` for a round that nothing was held out of: the recipe lets nothing look at it */
function heldOutOf({ round, heldOut }: RoundFigures): NonNullable<RoundFigures["heldOut"]> {
  if (heldOut !== null) return heldOut;
  throw new TrommelError("internal", `cannot choose by round ${round + 1}: no image was held out`);
}
