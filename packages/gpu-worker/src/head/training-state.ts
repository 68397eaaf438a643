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
import { decodeSafetensors, encodeSafetensors } from "@trommel/common/codec/safetensors";
import { checkHeadWeights } from "./model/head-model.js";
import type { OptimizerState } from "./head-learner.js";

/** An epoch of the last training on all rows: nothing is left to validate on. */
export type RefitRecord = NonNullable<Metrics["refit"]>["history"][number];

/**
 * Training after an epoch: all that is needed to go on to the very bytes that an undisturbed training gives. Order and
 * noise come from (seed, epoch), and the schedule is told the losses of the history again.
 */
export interface TrainingState {
  readonly weights: HeadWeights;
  readonly optimizer: OptimizerState;
  /** The epoch to be kept so far. */
  readonly best: { readonly epoch: number; readonly weights: HeadWeights };
  /** Of the training that is measured, whole where the refit has begun. */
  readonly history: readonly EpochRecord[];
  /** Of the refit; null before it. */
  readonly refit: readonly RefitRecord[] | null;
}

/** Where the states of a training are kept. Numbers count epochs from 1, and those of a refit on from the training's. */
export interface Checkpoints {
  /** The last one that was saved whole. */
  load(): Promise<{ readonly name: string; readonly bytes: Uint8Array } | undefined>;
  /** @param bestEpoch whose checkpoint must stay; other earlier ones may go */
  save(number: number, bestEpoch: number, bytes: Uint8Array): Promise<void>;
}

/** As safetensors `weights/…`, `best/…` and `moments/…`, the rest in the metadata. The same state gives the same bytes. */
export function encodeTrainingState(state: TrainingState): Uint8Array {
  const { weights, best, optimizer } = state;
  const entries = [
    ...Object.entries(weights).map(([name, tensor]) => [`weights/${name}`, tensor] as const),
    ...Object.entries(best.weights).map(([name, tensor]) => [`best/${name}`, tensor] as const),
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
    history: canonicalJson(state.history),
    refit: canonicalJson(state.refit),
  };
  return encodeSafetensors({ tensors: Object.fromEntries(tensors), metadata });
}

/**
 * The state in arrays of its own.
 * @param initial the head as it began: the order and the shapes of its weights
 * @throws TrommelError `corrupt` where the bytes are no state of that head's training
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
  return {
    weights: part("weights"),
    optimizer: { step: number("step"), moments },
    best: { epoch: number("best_epoch"), weights: part("best") },
    history: parseJsonAs(metrics.shape.history, file.metadata["history"] ?? "", `the history of ${name}`),
    refit: parseJsonAs(refitHistory, file.metadata["refit"] ?? "", `the refit of ${name}`),
  };
}

const refitHistory = metrics.shape.refit.unwrap().shape.history.nullable();

function positive(text: string | undefined, what: string): number {
  const value = Number(text);
  if (text !== undefined && Number.isSafeInteger(value) && value > 0) return value;
  throw notAState(what, `it is ${text ?? "missing"}`);
}

function notAState(name: string, reason: string): TrommelError {
  return new TrommelError(
    "corrupt",
    `failed to read the checkpoint ${name}: ${reason}. Remove the run's checkpoints, and it trains from the beginning`,
  );
}
