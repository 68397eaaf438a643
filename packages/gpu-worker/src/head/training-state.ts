import {
  TrommelError,
  canonicalJson,
  metrics,
  parseJsonAs,
  type EpochRecord,
  type HeadRecipe,
  type HeadWeights,
  type Metrics,
  type NamedTensor,
} from "@trommel/common";
import { decodeSafetensors, encodeSafetensors } from "@trommel/common/codec";
import { checkHeadWeights } from "./model/head-model.js";
import type { EpochOfPart } from "./epoch-apart.js";
import type { OptimizerState } from "./head-learner.js";
import { z } from "zod";

/** An epoch of the final training on all rows, without validation. */
export type RefitRecord = NonNullable<Metrics["refit"]>["history"][number];

/**
 * A training after an epoch: all that is needed to continue to exactly the bytes of an undisturbed training. Order and
 * noise come from (seed, epoch), and the schedule receives the losses of the history again.
 */
export interface TrainingState {
  readonly weights: HeadWeights;
  readonly optimizer: OptimizerState;
  /** The best epoch so far, by the recipe's rule. */
  readonly best: { readonly epoch: number; readonly weights: HeadWeights };
  /** The best epochs so far by parts of the validation rows; see `EpochApart`. */
  readonly apart: readonly EpochOfPart[];
  /** History of the validated training; complete once the refit has started. */
  readonly history: readonly EpochRecord[];
  /** History of the refit; null before it starts. */
  readonly refit: readonly RefitRecord[] | null;
}

/** Storage for the states of a training. Numbers count epochs from 1; a refit continues the training's numbers. */
export interface Checkpoints {
  /** The last state that was saved completely. */
  load(): Promise<{ readonly name: string; readonly bytes: Uint8Array } | undefined>;
  /** @param bestEpoch the epoch whose checkpoint must be kept; other earlier ones may be removed */
  save(number: number, bestEpoch: number, bytes: Uint8Array): Promise<void>;
}

/** As safetensors `weights/…`, `best/…`, `apart/<epoch>/…` and `moments/…`, the rest in the metadata. The same state gives the same bytes. */
export function encodeTrainingState(state: TrainingState): Uint8Array {
  const { weights, best, apart, optimizer } = state;
  const under = (prefix: string, of: HeadWeights) =>
    Object.entries(of).map(([name, tensor]) => [`${prefix}/${name}`, tensor] as const);
  const ofEpochs = new Map(apart.map((of) => [of.epoch, of.weights]));
  const entries = [
    ...under("weights", weights),
    ...under("best", best.weights),
    ...[...ofEpochs].flatMap(([epoch, of]) => under(`apart/${epoch}`, of)),
    ...[...optimizer.moments].map(
      ([name, data]) => [`moments/${name}`, { shape: [data.length], data }] as const,
    ),
  ];
  const tensors = entries.map(
    ([name, { shape, data }]) => [name, { dtype: "F32" as const, shape, data }] as const,
  );
  const metadata = {
    step: String(optimizer.step),
    best_epoch: String(best.epoch),
    apart: canonicalJson(apart.map(({ epoch, figures }) => ({ epoch, figures }))),
    history: canonicalJson(state.history),
    refit: canonicalJson(state.refit),
  };
  return encodeSafetensors({ tensors: Object.fromEntries(tensors), metadata });
}

/**
 * Decodes a state into new arrays.
 * @param initial the initial head: the order and the shapes of its weights
 * @throws TrommelError `corrupt` if the bytes are not a state of that head's training
 */
export function decodeTrainingState(
  bytes: Uint8Array,
  name: string,
  head: HeadRecipe,
  initial: HeadWeights,
): TrainingState {
  const file = decodeSafetensors(bytes, { name });
  const number = (key: string) => positive(file.metadata[key], `${key} of ${name}`);
  const part = (prefix: string): HeadWeights => {
    const found: Record<string, NamedTensor> = {};
    for (const weight of Object.keys(initial)) {
      const tensor = file.tensors[`${prefix}/${weight}`];
      if (tensor?.dtype === "F32") found[weight] = { shape: tensor.shape, data: tensor.data.slice() };
    }
    checkHeadWeights(head, found);
    return found;
  };
  const moments = new Map<string, Float32Array>();
  for (const [key, tensor] of Object.entries(file.tensors)) {
    if (!key.startsWith("moments/") || tensor.dtype !== "F32") continue;
    const moment = key.slice("moments/".length);
    const weight = moment.slice(moment.indexOf("/") + 1);
    if (initial[weight]?.data.length !== tensor.data.length) throw notAState(name, `${key} fits no weight`);
    moments.set(moment, tensor.data.slice());
  }
  const chosen = parseJsonAs(epochsOfParts, file.metadata["apart"] ?? "", `the epochs of ${name}`);
  const ofEpochs = new Map(
    [...new Set(chosen.map(({ epoch }) => epoch))].map((epoch) => [epoch, part(`apart/${epoch}`)]),
  );
  return {
    weights: part("weights"),
    apart: chosen.map((of) => ({ ...of, weights: ofEpochs.get(of.epoch) as HeadWeights })),
    optimizer: { step: number("step"), moments },
    best: { epoch: number("best_epoch"), weights: part("best") },
    history: parseJsonAs(metrics.shape.history, file.metadata["history"] ?? "", `the history of ${name}`),
    refit: parseJsonAs(refitHistory, file.metadata["refit"] ?? "", `the refit of ${name}`),
  };
}

const epochsOfParts = z.array(
  z.object({
    epoch: z.int().positive(),
    figures: metrics.shape.history.element.pick({
      validationLoss: true,
      validationAccuracy: true,
      validationBalancedAccuracy: true,
      validationMacroF1: true,
    }),
  }),
);
const refitHistory = metrics.shape.refit.unwrap().shape.history.nullable();

function positive(text: string | undefined, what: string): number {
  const value = Number(text);
  if (text !== undefined && Number.isSafeInteger(value) && value > 0) return value;
  throw notAState(what, `it is ${text ?? "missing"}`);
}

function notAState(name: string, reason: string): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot read the checkpoint ${name}: ${reason}. Remove the run's checkpoints to train from the start`,
  );
}
