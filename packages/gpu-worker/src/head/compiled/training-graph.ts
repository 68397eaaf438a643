import type { HeadRecipe, StepOptimizerRecipe } from "@trommel/common";
import { GraphBuilder } from "../../graph/graph-builder.js";
import type { FactorPlace, FactorShape } from "../noise/dropout-factors.js";
import { isBias } from "../model/head-model.js";
import { emitHeadSteps } from "./emit-head-steps.js";
import { emitUpdate, momentKinds, momentScale } from "./emit-optimizer.js";
import { rateCount } from "./step-rates.js";
import type { WeightGroup } from "./weight-groups.js";

/** All that the graphs of a head's training depend on. */
export interface TrainingGraphSetting {
  readonly head: HeadRecipe;
  readonly optimizer: StepOptimizerRecipe;
  readonly featureCount: number;
  readonly classCount: number;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly groups: readonly WeightGroup[];
  /** Whether each row's loss has a factor of its own. */
  readonly isWeighted: boolean;
  /** The places at which training multiplies by factors. */
  readonly factors: readonly FactorShape[];
}

/**
 * Names of inputs and outputs, S steps of B rows:
 *
 * | input | shape | |
 * |---|---|---|
 * | `weights<g>`, `<moment><g>` | [group's length] | before the first step; as outputs, with `next_` before them, after the last |
 * | `features` | [S, B, features] | |
 * | `targets` | [S, B, classes] | smoothed |
 * | `row_share` | [S], or [S, B, 1] with weighted rows | 1 / B, or weight / B |
 * | `factors_<place>` | [S, B, width] | |
 * | `rate<i>` | [S] | see `step-rates.ts` |
 *
 * The output `log_probabilities` [S, B, classes] is of each step before its update, factors in force.
 */
export const graphNames = {
  weights: (group: number) => `weights${group}`,
  moment: (kind: string, group: number) => `${kind}${group}`,
  next: (state: string) => `next_${state}`,
  factors: (place: FactorPlace) => `factors_${place}`,
  rate: (index: number) => `rate${index}`,
};

/**
 * S steps of training in one graph, an ONNX Scan with weights and moments as its state: forward, mean cross-entropy,
 * backward, update. A step has about sixty nodes of microseconds each, so a session run per step would cost more than it computes.
 */
export function buildTrainingGraph(setting: TrainingGraphSetting): Uint8Array {
  const outer = new GraphBuilder({ graphName: "head_training" });
  const { states, scanned } = trainingInputs(setting);
  const initial = states.map(({ name, length, scale }) => {
    const input = outer.input(name, "float32", [length]);
    return scale === 1 ? input : outer.node("Div", [input, scalar(outer, scale)]);
  });
  const slices = scanned.map(({ name, dims }) => outer.input(name, "float32", ["steps", ...dims]));
  const outputs = outer.node(
    "Scan",
    [...initial, ...slices],
    { body: { graph: stepGraph(setting).graph() }, num_scan_inputs: slices.length },
    states.length + 1,
  );
  for (const [index, { name, length, scale }] of states.entries()) {
    const last = outputs[index] as string;
    const final = scale === 1 ? last : outer.node("Mul", [last, scalar(outer, scale)]);
    outer.output(graphNames.next(name), "float32", [length], final);
  }
  const shape = ["steps", "rows", setting.classCount];
  outer.output("log_probabilities", "float32", shape, outputs.at(-1));
  return outer.encode();
}

/** Log-probabilities [rows, classes] of `features` [rows, features] without noise, the weights as inputs as above. */
export function buildValidationGraph(setting: TrainingGraphSetting): Uint8Array {
  const builder = new GraphBuilder({ graphName: "head_validation" });
  const weights = setting.groups.map((group, index) =>
    builder.input(graphNames.weights(index), "float32", [group.length]),
  );
  const features = builder.input("features", "float32", ["rows", setting.featureCount]);
  const values = { features, weights: splitWeights(builder, setting, weights), factors: new Map() };
  const { logits } = emitHeadSteps(builder, setting.head, values);
  const logarithms = builder.node("LogSoftmax", [logits], { axis: -1 });
  builder.output("log_probabilities", "float32", ["rows", setting.classCount], logarithms);
  return builder.encode();
}

interface StateInput {
  readonly name: string;
  readonly length: number;
  readonly scale: number;
}

interface ScannedInput {
  readonly name: string;
  /** The shape in one step. */
  readonly dims: readonly (number | string)[];
}

function trainingInputs(setting: TrainingGraphSetting): { states: StateInput[]; scanned: ScannedInput[] } {
  const { optimizer, groups, featureCount, classCount, isWeighted, factors } = setting;
  const states = groups.flatMap(({ length }, group) => [
    { name: graphNames.weights(group), length, scale: 1 },
    ...momentKinds(optimizer).map((kind) => {
      return { name: graphNames.moment(kind, group), length, scale: momentScale(optimizer, kind) };
    }),
  ]);
  const scanned = [
    { name: "features", dims: ["rows", featureCount] },
    { name: "targets", dims: ["rows", classCount] },
    { name: "row_share", dims: isWeighted ? ["rows", 1] : [] },
    ...factors.map(({ place, width }) => ({ name: graphNames.factors(place), dims: ["rows", width] })),
    ...Array.from({ length: rateCount(optimizer) }, (_, index) => {
      return { name: graphNames.rate(index), dims: [] };
    }),
  ];
  return { states, scanned };
}

/** The Scan's body: states and slices in, in their order; states and log-probabilities out. */
function stepGraph(setting: TrainingGraphSetting): GraphBuilder {
  const { head, optimizer, groups, factors, classCount } = setting;
  const body = new GraphBuilder({ graphName: "head_step", namePrefix: "step/" });
  const own = (name: string) => `step/${name}`;
  const { states, scanned } = trainingInputs(setting);
  for (const { name, length } of states) body.input(own(name), "float32", [length]);
  for (const { name, dims } of scanned) body.input(own(name), "float32", dims);
  const packed = groups.map((_, group) => own(graphNames.weights(group)));
  const { logits, backward } = emitHeadSteps(body, head, {
    features: own("features"),
    weights: splitWeights(body, setting, packed),
    factors: new Map(factors.map(({ place }) => [place, own(graphNames.factors(place))])),
  });
  const logarithms = body.node("LogSoftmax", [logits], { axis: -1 });
  const excess = body.node("Sub", [body.node("Exp", [logarithms]), own("targets")]);
  const gradients = backward(body.node("Mul", [excess, own("row_share")]));
  const kinds = momentKinds(optimizer);
  for (const [index, group] of groups.entries()) {
    const updated = emitUpdate(body, optimizer, {
      weight: packed[index] as string,
      gradient: joinGradients(body, group, gradients),
      moments: kinds.map((kind) => own(graphNames.moment(kind, index))),
      rates: Array.from({ length: rateCount(optimizer) }, (_, rate) => own(graphNames.rate(rate))),
      decays: group.decays,
    });
    for (const name of [updated.weight, ...updated.moments]) body.output(name, "float32", [group.length]);
  }
  body.output(logarithms, "float32", ["rows", classCount]);
  return body;
}

/** The weights by name and in their shapes. */
function splitWeights(
  builder: GraphBuilder,
  { groups, shapes }: TrainingGraphSetting,
  packed: readonly string[],
): Map<string, string> {
  const weights = new Map<string, string>();
  for (const [index, { names, lengths }] of groups.entries()) {
    const vector = packed[index] as string;
    const sizes = BigInt64Array.from(lengths.map(BigInt));
    const parts =
      names.length === 1
        ? [vector]
        : builder.node(
            "Split",
            [vector, builder.constant("lengths", "int64", [sizes.length], sizes)],
            { axis: 0 },
            names.length,
          );
    for (const [part, name] of names.entries()) {
      const shape = shapes.get(name) ?? [];
      const value = parts[part] as string;
      weights.set(name, shape.length === 1 ? value : reshape(builder, value, shape));
    }
  }
  return weights;
}

function joinGradients(
  builder: GraphBuilder,
  { names, lengths }: WeightGroup,
  gradients: ReadonlyMap<string, string>,
): string {
  const flat = names.map((name, index) => {
    const gradient = gradients.get(name) as string;
    return isBias(name) ? gradient : reshape(builder, gradient, [lengths[index] as number]);
  });
  return flat.length === 1 ? (flat[0] as string) : builder.node("Concat", flat, { axis: 0 });
}

function reshape(builder: GraphBuilder, value: string, shape: readonly number[]): string {
  const dims = BigInt64Array.from(shape.map(BigInt));
  return builder.node("Reshape", [value, builder.constant("shape", "int64", [dims.length], dims)]);
}

function scalar(builder: GraphBuilder, value: number): string {
  return builder.constant("scalar", "float32", [], Float32Array.of(value));
}
