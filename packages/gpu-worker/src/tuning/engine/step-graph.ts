import { TrommelError } from "@trommel/common";
import { momentKinds, emitUpdate } from "../../head/compiled/emit-optimizer.js";
import { rateCount } from "../../head/compiled/step-rates.js";
import { GraphBuilder } from "../../graph/graph-builder.js";
import { ViewSampler } from "../../graph/sampling.js";
import type { BoundLayer } from "../../backbone/layers/bound-layer.js";
import { weightValues } from "../../backbone/layers/layers-weights.js";
import { emitNetwork, type EmittedNetwork } from "../layers/network.js";
import { nativeWeight } from "../layers/native-weights.js";
import { isStatistic } from "../layers/trained-weights.js";
import { dense } from "../tape/dense.js";
import { multiply } from "../tape/joining.js";
import type { Recomputation } from "../values/recomputation.js";
import { Tape, type Weight } from "../tape/tape.js";
import { Value } from "../values/value.js";
import { classifierLayer, stateNames, tunedTensors, type TunedTensor } from "./tuned-tensors.js";
import type { TuningSetting } from "./tuner.js";

export interface StepGraph {
  readonly model: Uint8Array;
  readonly tensors: readonly TunedTensor[];
  readonly dimension: number;
  /** What values and gradients of the backward pass take in memory at the most, about. */
  readonly passingBytes: number;
  /** What all outputs of the layers take together. */
  readonly layerBytes: number;
}

/** The distinct factors of the learning rate, in order of the layers. */
export function distinctFactors(setting: TuningSetting, tensors: readonly TunedTensor[]): readonly number[] {
  return [...new Set(tensors.map(({ layer }) => setting.rateFactors.get(layer) ?? 1))];
}

/** Input of a scalar that changes from step to step. */
export const rateName = (factor: number, index: number): string => `rate/${factor}/${index}`;
export const nextName = (name: string): string => `next/${name}`;

/**
 * One step of training as a graph: views of the base images, the network, the mean cross-entropy, its gradients and the
 * optimiser.
 *
 * Inputs: those of a `TuningBatch`, the rates, and every tensor of the state in its native order. Outputs: `log_probabilities`
 * float32 [B, classes], and each of those tensors after the step under `next/`.
 * @param block channels of the runtime's blocked layout; 0 for plain ONNX
 * @throws TrommelError `unsupported` for a layer that cannot be tuned
 */
export function buildStepGraph(
  setting: TuningSetting,
  block: number,
  recomputation: Recomputation = "nothing",
): StepGraph {
  const graph = new GraphBuilder({ graphName: "trommel_tuning" });
  const isMixed = setting.precision === "mixed";
  const tape = new Tape(graph, { batch: setting.batchSize, block, recomputation, isMixed });
  const weights = new Map<string, Weight>();
  const declare = (name: string, shape: readonly number[]): Weight => {
    const known = weights.get(name);
    if (known !== undefined) return known;
    const value = graph.input(`weights/${name}`, "float32", shape);
    const weight = { name, shape, value, isTrained: !isStatistic(name) };
    weights.set(name, weight);
    return weight;
  };
  const network = emitNetwork({
    ...{ tape, cut: setting.cut, inputSize: setting.contract.inputSize, image: emitImage(graph, setting) },
    ...{ trained: setting.trained, norm: setting.norm, pooling: setting.pooling },
    weight: (layer, name) => {
      const { shape } = nativeWeight(layer, name);
      if (setting.trained.has(layer.name)) return declare(`${layer.name}/${name}`, shape);
      return constantWeight(graph, layer, name);
    },
  });
  const dimension = network.embedding.channels;
  const tensors = tunedTensors(setting, dimension);
  for (const { name, shape } of tensors) declare(name, shape);
  const gradients = emitGradients(tape, setting, network, weights);
  emitUpdates(tape, setting, { tensors, weights, gradients, network });
  return {
    model: graph.encode(),
    tensors,
    dimension,
    passingBytes: tape.peakBytes,
    layerBytes: network.layerBytes,
  };
}

/** @returns value float32 [B, 3, inputSize, inputSize] */
function emitImage(
  graph: GraphBuilder,
  { batchSize, side, colour, contract, hasMixup }: TuningSetting,
): string {
  const pixels = graph.input("pixels", "uint8", [batchSize, side, side, 3]);
  const affine = graph.input("affine", "float32", [batchSize, 2, 3]);
  const sampler = new ViewSampler(graph, {
    ...{ pixels, affine, side, viewCount: 1, identityFirst: false },
    colour: colour ? graph.input("colour", "float32", [batchSize, 3, 4]) : null,
  });
  const image = sampler.viewInput(contract);
  if (!hasMixup) return image;
  const partner = graph.input("mix_partner", "int32", [batchSize]);
  const share = graph.input("mix_share", "float32", []);
  const others = graph.node("Gather", [image, partner], { axis: 0 });
  const apart = graph.node("Sub", [image, others]);
  return graph.node("Add", [others, graph.node("Mul", [apart, share])]);
}

function constantWeight(graph: GraphBuilder, layer: BoundLayer, name: string): Weight {
  const { shape, toNative } = nativeWeight(layer, name);
  const weight = layer.weights.get(name);
  if (weight === undefined)
    throw new TrommelError("corrupt", `cannot tune: the layer ${layer.name} has no weight ${name}`);
  const full = `${layer.name}/${name}`;
  const value = graph.constant(full, "float32", shape, toNative(weightValues(weight)));
  return { name: full, shape, value, isTrained: false };
}

function emitGradients(
  tape: Tape,
  { batchSize, classCount, hasDropout }: TuningSetting,
  { embedding }: EmittedNetwork,
  weights: ReadonlyMap<string, Weight>,
): ReadonlyMap<string, string> {
  const { graph } = tape;
  const shape = [batchSize, embedding.channels];
  const dropped = hasDropout
    ? multiply(tape, embedding, new Value(shape, false, { plain: graph.input("dropout", "float32", shape) }))
    : embedding;
  const kernel = weights.get(`${classifierLayer}/kernel`) as Weight;
  const logits = dense(tape, dropped, { kernel, bias: weights.get(`${classifierLayer}/bias`) });
  const logarithms = graph.node("LogSoftmax", [tape.plainOf(logits)], { axis: 1 });
  graph.output("log_probabilities", "float32", [batchSize, classCount], logarithms);
  const targets = graph.input("targets", "float32", [batchSize, classCount]);
  const shares = graph.input("row_shares", "float32", [batchSize, 1]);
  const apart = graph.node("Sub", [graph.node("Exp", [logarithms]), targets]);
  const weighted = tape.times(apart, shares);
  const plain = tape.isMixed ? tape.times(weighted, tape.scalar(lossScale)) : weighted;
  const gradient = new Value(logits.shape, true, { plain });
  return tape.backward(logits, gradient);
}

interface UpdateParts {
  readonly tensors: readonly TunedTensor[];
  readonly weights: ReadonlyMap<string, Weight>;
  readonly gradients: ReadonlyMap<string, string>;
  readonly network: EmittedNetwork;
}

function emitUpdates(tape: Tape, setting: TuningSetting, parts: UpdateParts): void {
  const { graph } = tape;
  const { optimizer, averageDecay } = setting;
  const { tensors, weights, network } = parts;
  const factors = distinctFactors(setting, tensors);
  const rates = factors.map((_, at) =>
    Array.from({ length: rateCount(optimizer) }, (_, index) =>
      graph.input(rateName(at, index), "float32", []),
    ),
  );
  const clipped = clippedGradients(tape, setting, parts);
  const isFinite = tape.isMixed ? finiteness(tape, [...clipped.values()]) : undefined;
  const orAsBefore = (name: string, value: string): string =>
    isFinite === undefined ? value : graph.node("Where", [isFinite, value, name]);
  for (const tensor of tensors) {
    const { name, shape, layer, isMeasured, isKernel } = tensor;
    const next = new Map<string, string>();
    if (isMeasured) {
      const { value: before } = weights.get(name) as Weight;
      next.set(`weights/${name}`, runningStatistic(tape, setting, { name, before, network, layer }));
    } else {
      const kinds = momentKinds(optimizer).map((kind) => `moments/${kind}/${name}`);
      const decayed = optimizer.type === "adamw" || isKernel ? optimizer : { ...optimizer, weightDecay: 0 };
      const update = emitUpdate(graph, decayed, {
        weight: (weights.get(name) as Weight).value,
        gradient: clipped.get(name) as string,
        moments: kinds.map((kind) => graph.input(kind, "float32", shape)),
        rates: rates[factors.indexOf(setting.rateFactors.get(layer) ?? 1)] ?? [],
        decays: isKernel,
      });
      next.set(`weights/${name}`, update.weight);
      for (const [at, kind] of kinds.entries()) next.set(kind, update.moments[at] as string);
      if (averageDecay !== null) {
        const average = graph.input(`average/${name}`, "float32", shape);
        const apart = graph.node("Sub", [update.weight, average]);
        next.set(
          `average/${name}`,
          graph.node("Add", [average, tape.times(apart, tape.scalar(1 - averageDecay))]),
        );
      }
    }
    for (const of of stateNames(setting, tensor))
      graph.output(nextName(of), "float32", shape, orAsBefore(of, next.get(of) ?? ""));
  }
}

function runningStatistic(
  tape: Tape,
  { statisticsMomentum }: TuningSetting,
  {
    name,
    before,
    network,
    layer,
  }: {
    readonly name: string;
    readonly before: string;
    readonly network: EmittedNetwork;
    readonly layer: string;
  },
): string {
  const measured = network.statistics.get(layer);
  if (measured === undefined)
    throw new TrommelError("internal", `cannot tune: the layer ${layer} measured nothing of its batch`);
  const now = name.endsWith("moving_mean") ? measured.mean : measured.variance;
  const apart = tape.graph.node("Sub", [now, before]);
  return tape.graph.node("Add", [before, tape.times(apart, tape.scalar(statisticsMomentum))]);
}

/**
 * In mixed precision gradients are this times as large on their way, so that float16, whose least normal number is 6.1e-5, holds the
 * small ones; a power of two, so that it changes no digit. Those that pass its 65504 become infinite, and their step is left out.
 */
const lossScale = 1024;

/** Whether all gradients are finite: a bool. */
function finiteness(tape: Tape, gradients: readonly string[]): string {
  const { graph } = tape;
  const most = gradients.map((gradient) => {
    const sizes = graph.node("Abs", [gradient]);
    return graph.reshape(graph.node("ReduceMax", [sizes], { keepdims: 0 }), [1]);
  });
  // A NaN is less than nothing, and its sum with others a NaN.
  const sum = tape.sumOver(graph.node("Concat", most, { axis: 0 }), [0]);
  return graph.node("Less", [sum, tape.scalar(3e38)]);
}

/** Gradients by name, scaled down together if their norm is above the bound (Pascanu et al. 2013). */
function clippedGradients(
  tape: Tape,
  { clipNorm }: TuningSetting,
  { tensors, gradients }: UpdateParts,
): ReadonlyMap<string, string> {
  const trained = tensors.filter(({ isMeasured }) => !isMeasured);
  const found = trained.map(({ name }) => {
    const gradient = gradients.get(name);
    if (gradient !== undefined)
      return [name, tape.isMixed ? tape.times(gradient, tape.scalar(1 / lossScale)) : gradient] as const;
    throw new TrommelError(
      "invalid-argument",
      `cannot tune: the weight ${name} has no part in the embedding. Leave its layer out of tune.blocks`,
    );
  });
  if (clipNorm === null) return new Map(found);
  const { graph } = tape;
  const squares = found.map(([, gradient]) =>
    graph.reshape(graph.node("ReduceSumSquare", [gradient], { keepdims: 0 }), [1]),
  );
  const norm = graph.node("Sqrt", [tape.sumOver(graph.node("Concat", squares, { axis: 0 }), [0])]);
  const ratio = graph.node("Div", [tape.scalar(clipNorm), graph.node("Add", [norm, tape.scalar(1e-6)])]);
  const factor = graph.node("Min", [ratio, tape.scalar(1)]);
  return new Map(found.map(([name, gradient]) => [name, tape.times(gradient, factor)]));
}
