import { TrommelError } from "@trommel/common";
import { buildStepGraph, type StepGraph } from "./step-graph.js";
import { stateNames } from "./tuned-tensors.js";
import type { TuningSetting } from "./tuner.js";

/** The process and the runtime without a network. */
const ownBytes = 120e6;
/** The runtime's arena over what is in it at a time: freed places of one size do not fit the next. Measured 1.1 to 1.6. */
const arenaFactor = 1.5;
/** Into how many segments the layers are divided, from the fewest values kept. */
const segmentCounts = [4, 8, 16, 32];

/**
 * What the process of a step takes in memory at the most, about: a pure function of network, batch and size. The state is there
 * twice, before and after the step.
 */
export function stepBytes(setting: TuningSetting, { tensors, passingBytes }: StepGraph): number {
  const sizeOf = (shape: readonly number[]): number => 4 * shape.reduce((product, size) => product * size, 1);
  const state = tensors.reduce(
    (sum, tensor) => sum + sizeOf(tensor.shape) * stateNames(setting, tensor).length,
    0,
  );
  const weights = setting.cut.layers.flatMap((layer) => [...layer.weights.values()]);
  const frozen = weights.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  return ownBytes + frozen + 2 * state + arenaFactor * passingBytes;
}

/**
 * The graph of a step that stays within the setting's memory, by the least that is computed again; without a bound, maps that a
 * single pass makes are, which costs little and changes no byte. What convolutions make changes the last digits of a result where
 * the layout is plain, since the runtime then merges other nodes.
 * @throws TrommelError `invalid-argument` if no recomputation is enough
 */
export function planStep(setting: TuningSetting, block: number): StepGraph {
  const memoryMb = setting.memoryMb ?? null;
  if (memoryMb === null) return buildStepGraph(setting, block, "passes");
  const found: number[] = [];
  const fits = (graph: StepGraph): boolean => {
    const bytes = stepBytes(setting, graph);
    found.push(bytes);
    return bytes <= memoryMb * 1e6;
  };
  const whole = buildStepGraph(setting, block);
  if (fits(whole)) return whole;
  const segments = segmentCounts.map((count) => ({ segmentBytes: whole.layerBytes / count }));
  for (const recomputation of ["passes", ...segments] as const) {
    const graph = buildStepGraph(setting, block, recomputation);
    if (fits(graph)) return graph;
  }
  const least = Math.ceil(Math.min(...found) / 1e6);
  throw new TrommelError(
    "invalid-argument",
    `cannot tune within ${memoryMb} MB: a step of ${setting.batchSize} images of ${setting.contract.inputSize} pixels needs about ${least} MB, with everything computed again that can be. Lower tune.batchSize, tune fewer blocks, or raise tune.memoryMb`,
    { context: { memoryMb, leastMb: least } },
  );
}
