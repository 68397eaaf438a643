import { TrommelError, type NamedTensor } from "@trommel/common";
import type { OuterRecipe } from "@trommel/common/recipe";
import type { TuningState } from "../engine/tuner.js";
import { isStatistic } from "../layers/trained-weights.js";

type Tensors = ReadonlyMap<string, NamedTensor>;

/** All that the next round starts from. */
export interface Checkpoint {
  /** Steps of each replica so far. */
  readonly step: number;
  /** `weights/…` and `average/…`, which all replicas start from. */
  readonly shared: Tensors;
  /** The outer momentum by the names of the weights; none with a plain average. */
  readonly outer: Tensors;
  /** Each replica's own `moments/…`. */
  readonly replicas: readonly Tensors[];
}

const ownPrefix = "moments/";

/** The checkpoint of a state that no replica has trained yet. */
export function firstCheckpoint({ step, tensors }: TuningState, replicas: number): Checkpoint {
  const [own, shared] = parted(tensors);
  return { step, shared, outer: new Map(), replicas: Array.from({ length: replicas }, () => own) };
}

/** What a replica starts a round from. @throws TrommelError `corrupt` if the checkpoint has no such replica */
export function stateOfReplica({ step, shared, replicas }: Checkpoint, replica: number): TuningState {
  const own = replicas[replica];
  if (own === undefined)
    throw new TrommelError(
      "corrupt",
      `cannot tune replica ${replica}: the checkpoint holds ${replicas.length}. Remove the run's checkpoints, so that it is tuned from the start`,
    );
  return { step, tensors: new Map([...shared, ...own]) };
}

/**
 * The next checkpoint. The mean of the replicas is taken in float64 in their order and rounded once, so that a single replica keeps
 * its bytes. With `nesterov` (DiLoCo: Douillard et al. 2023, arXiv 2311.08105, algorithm 1, with the update of PyTorch's SGD) the
 * outer gradient g = checkpoint − mean, the momentum m ← momentum · m + g and the weights checkpoint − rate · (g + momentum · m).
 * @param states of the replicas after the round, in their order
 * @throws TrommelError `corrupt` if they are not of one network or have not taken the same steps
 */
export function mergeReplicas(
  from: Checkpoint,
  states: readonly TuningState[],
  recipe: OuterRecipe,
): Checkpoint {
  const parts = states.map(({ tensors }) => parted(tensors));
  const shared = new Map<string, NamedTensor>();
  const outer = new Map<string, NamedTensor>();
  for (const [name, before] of from.shared) {
    const found = parts.map(([, tensors]) => dataOf(tensors, name, before));
    const mean = meanOf(found);
    // What no gradient learned is averaged whatever the outer optimiser.
    const isStepped = recipe.type === "nesterov" && name.startsWith("weights/") && !isStatistic(name);
    if (!isStepped) {
      shared.set(name, { shape: before.shape, data: Float32Array.from(mean) });
      continue;
    }
    const momentum = from.outer.get(name)?.data;
    const { weights, moved } = nesterovStep(recipe, { before: before.data, mean, momentum });
    shared.set(name, { shape: before.shape, data: weights });
    outer.set(name, { shape: before.shape, data: moved });
  }
  const [first] = states;
  if (
    first === undefined ||
    states.some(({ step }) => step !== first.step) ||
    states.length !== from.replicas.length
  )
    throw unequal(
      `the ${states.length} changes have taken ${states.map(({ step }) => step).join(", ")} steps`,
    );
  return { step: first.step, shared, outer, replicas: parts.map(([own]) => own) };
}

function nesterovStep(
  { learningRate, momentum: share }: Extract<OuterRecipe, { type: "nesterov" }>,
  of: {
    readonly before: Float32Array;
    readonly mean: Float64Array;
    readonly momentum: Float32Array | undefined;
  },
): { readonly weights: Float32Array; readonly moved: Float32Array } {
  const { before, mean, momentum } = of;
  const weights = new Float32Array(before.length);
  const moved = new Float32Array(before.length);
  for (let i = 0; i < before.length; i += 1) {
    const gradient = (before[i] as number) - (mean[i] as number);
    const next = share * (momentum?.[i] ?? 0) + gradient;
    moved[i] = next;
    weights[i] = (before[i] as number) - learningRate * (gradient + share * next);
  }
  return { weights, moved };
}

function meanOf(values: readonly Float32Array[]): Float64Array {
  const mean = Float64Array.from(values[0] ?? []);
  for (const of of values.slice(1)) for (let i = 0; i < mean.length; i += 1) mean[i]! += of[i] as number;
  if (values.length > 1) for (let i = 0; i < mean.length; i += 1) mean[i]! /= values.length;
  return mean;
}

function dataOf(tensors: Tensors, name: string, like: NamedTensor): Float32Array {
  const found = tensors.get(name);
  if (found?.data.length === like.data.length) return found.data;
  throw unequal(
    `${name} has ${found?.data.length ?? "no"} values in one of them and ${like.data.length} in the checkpoint`,
  );
}

/** What is a replica's own, and what all share. */
function parted(tensors: Tensors): readonly [own: Tensors, shared: Tensors] {
  const own = new Map<string, NamedTensor>();
  const shared = new Map<string, NamedTensor>();
  for (const [name, tensor] of tensors) (name.startsWith(ownPrefix) ? own : shared).set(name, tensor);
  return [own, shared];
}

function unequal(why: string): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot merge the replicas of a round: ${why}. Remove the run's tuning/changes, so that they are made again`,
  );
}
