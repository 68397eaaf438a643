import { throughActivation, type FusedActivation } from "./fused-activation.js";
import { affine, perChannel, perImage, productSumsOf, sumsOf, type PerChannel } from "./passes.js";
import type { Tape, Weight } from "./tape.js";
import type { Value } from "../values/value.js";

/** Per channel; absent where the layer has none. */
interface Scaling {
  readonly gamma: Weight | undefined;
  readonly beta: Weight | undefined;
}

export interface NormalizationOptions extends Scaling {
  readonly epsilon: number;
  readonly activation?: FusedActivation | undefined;
}

/** What a batch normalisation measured of its batch, float32 [C]; the variance as an estimate of the population's. */
export interface BatchStatistics {
  readonly mean: string;
  readonly variance: string;
}

/**
 * Batch normalisation while training (Ioffe & Szegedy 2015): by mean and variance of the batch, over images and pixels.
 * Running statistics take the variance with Bessel's correction, as PyTorch and TensorFlow's fused kernel do.
 *
 * The variance is the mean square less the squared mean, which loses digits where the mean is large; so the values are moved
 * next to zero before, by the convolution that made them if it could, at no cost.
 * @param options.shift what was added to the input's channels already, float32 [C]: less the running mean
 */
export function normalizeByBatch(
  tape: Tape,
  input: Value,
  options: NormalizationOptions & { readonly shift: string | undefined },
): { readonly output: Value; readonly statistics: BatchStatistics } {
  const { graph } = tape;
  const count = tape.batch * input.pixels;
  const share = tape.scalar(1 / count);
  const over = (sums: string): string => tape.times(tape.sumOver(sums, [0]), share);
  const before = options.shift === undefined ? over(sumsOf(tape, input)) : undefined;
  const base = before === undefined ? input : tape.between(() => centredBy(tape, input, perChannel(before)));
  const mean = over(sumsOf(tape, base));
  const squares = over(productSumsOf(tape, base, base));
  const variance = graph.node("Relu", [graph.node("Sub", [squares, tape.times(mean, mean)])]);
  const inverse = inverseRoot(tape, variance, options.epsilon);
  const emit = (): Value => scaled(tape, base, { inverse: perChannel(inverse), mean }, options);
  const output = tape.passed(emit, (after) => {
    const gradient = throughActivation(tape, options.activation, output, after);
    const sums = tape.sumOver(sumsOf(tape, gradient), [0]);
    const products = graph.node("Sub", [
      tape.sumOver(productSumsOf(tape, gradient, base), [0]),
      tape.times(mean, sums),
    ]);
    if (options.beta !== undefined) tape.addWeightGradient(options.beta, sums);
    if (options.gamma !== undefined) tape.addWeightGradient(options.gamma, tape.times(products, inverse));
    if (!input.isTrained) return;
    const scale = options.gamma === undefined ? inverse : tape.times(options.gamma.value, inverse);
    const squared = tape.times(inverse, inverse);
    const slope = graph.node("Neg", [tape.times(tape.times(scale, squared), tape.times(products, share))]);
    const moved = graph.node("Add", [tape.times(slope, mean), tape.times(tape.times(scale, sums), share)]);
    const along = affine(tape, base, {
      scale: perChannel(slope),
      shift: perChannel(graph.node("Neg", [moved])),
    });
    tape.addGradient(input, affine(tape, gradient, { scale: perChannel(scale), plus: along }));
  });
  const corrected = tape.times(variance, tape.scalar(count / Math.max(count - 1, 1)));
  const offset = before ?? graph.node("Neg", [options.shift ?? ""]);
  return { output, statistics: { mean: graph.node("Add", [mean, offset]), variance: corrected } };
}

/** Batch normalisation by constants: the statistics that the network came with. */
export function normalizeByConstants(
  tape: Tape,
  input: Value,
  options: NormalizationOptions & { readonly mean: Float32Array; readonly variance: Float32Array },
): Value {
  const { graph } = tape;
  const { gamma, beta, activation, epsilon } = options;
  const channels = input.channels;
  const roots = Float32Array.from(options.variance, (value) => 1 / Math.sqrt(value + epsilon));
  const inverse = tape.floats("inverse", [channels], roots);
  const mean = tape.floats("mean", [channels], options.mean);
  const scale = gamma === undefined ? inverse : tape.times(gamma.value, inverse);
  const moved = tape.times(mean, scale);
  const shift = beta === undefined ? graph.node("Neg", [moved]) : graph.node("Sub", [beta.value, moved]);
  const trains = input.isTrained || isTrained(options);
  const pass = { scale: perChannel(scale), shift: perChannel(shift), activation };
  const emit = (): Value => affine(tape, input, pass).asTrained(trains);
  const spread = (after: Value): void => {
    const gradient = throughActivation(tape, activation, output, after);
    if (isTrained(options)) {
      const sums = tape.sumOver(sumsOf(tape, gradient), [0]);
      if (beta !== undefined) tape.addWeightGradient(beta, sums);
      if (gamma !== undefined) {
        const products = tape.sumOver(productSumsOf(tape, gradient, input), [0]);
        const centred = graph.node("Sub", [products, tape.times(mean, sums)]);
        tape.addWeightGradient(gamma, tape.times(centred, inverse));
      }
    }
    if (input.isTrained) tape.addGradient(input, affine(tape, gradient, { scale: perChannel(scale) }));
  };
  // A trained one is a single pass over a map that is kept in any case, so that its output need not be.
  const output = isTrained(options) ? tape.passed(emit, spread) : tape.computed(emit, spread);
  return output;
}

/** Group normalisation (Wu & He 2018): by mean and variance of each image's groups of neighbouring channels. */
export function normalizeByGroup(
  tape: Tape,
  input: Value,
  options: NormalizationOptions & { readonly groups: number },
): Value {
  const { graph, batch } = tape;
  const { gamma, beta, groups, epsilon, activation } = options;
  const channels = input.channels;
  const count = (channels / groups) * input.pixels;
  /** Mean over each group of what an image's channels sum up to, for each of them. */
  const over = (sums: string): string => {
    const grouped = graph.reshape(sums, [batch, groups, channels / groups]);
    const means = tape.times(tape.sumOver(grouped, [2], 1), tape.scalar(1 / count));
    const spread = graph.node("Expand", [means, graph.int64s([batch, groups, channels / groups])]);
    return graph.reshape(spread, [batch, channels]);
  };
  const mean = perImage(over(sumsOf(tape, input)));
  const centred = tape.between(() => centredBy(tape, input, mean));
  const inverse = inverseRoot(tape, over(productSumsOf(tape, centred, centred)), epsilon);
  const emit = (): Value => scaled(tape, centred, { inverse: perImage(inverse) }, options);
  const output = tape.passed(emit, (after) => {
    const gradient = throughActivation(tape, activation, output, after);
    const sums = sumsOf(tape, gradient);
    const products = productSumsOf(tape, gradient, centred);
    if (beta !== undefined) tape.addWeightGradient(beta, tape.sumOver(sums, [0]));
    if (gamma !== undefined) tape.addWeightGradient(gamma, tape.sumOver(tape.times(products, inverse), [0]));
    if (!input.isTrained) return;
    const weighted = (value: string): string =>
      gamma === undefined ? value : tape.times(value, gamma.value);
    const scale = weighted(inverse);
    const squared = tape.times(inverse, inverse);
    const along = over(weighted(products));
    const slope = graph.node("Neg", [tape.times(tape.times(inverse, squared), along)]);
    const shift = graph.node("Neg", [tape.times(inverse, over(weighted(sums)))]);
    const rest = affine(tape, centred, { scale: perImage(slope), shift: perImage(shift) });
    tape.addGradient(input, affine(tape, gradient, { scale: perImage(scale), plus: rest }));
  });
  return output;
}

function centredBy(tape: Tape, input: Value, mean: PerChannel): Value {
  const { graph, batch } = tape;
  const length = input.channels * (mean.perImage ? batch : 1);
  const ones = tape.floats(
    "ones",
    mean.perImage ? [batch, input.channels] : [length],
    new Float32Array(length).fill(1),
  );
  const shift = { ...mean, name: graph.node("Neg", [mean.name]) };
  return affine(tape, input, { scale: { ...mean, name: ones }, shift });
}

function inverseRoot(tape: Tape, variance: string, epsilon: number): string {
  const { graph } = tape;
  const root = graph.node("Sqrt", [graph.node("Add", [variance, tape.scalar(epsilon)])]);
  return graph.node("Reciprocal", [root]);
}

/** gamma · (value − mean) · inverse + beta, activated. @param moments without a mean the value's own is zero */
function scaled(
  tape: Tape,
  value: Value,
  { inverse, mean }: { readonly inverse: PerChannel; readonly mean?: string },
  options: NormalizationOptions,
): Value {
  const { graph, batch } = tape;
  const { gamma, beta, activation } = options;
  const scale = gamma === undefined ? inverse.name : tape.times(inverse.name, gamma.value);
  const spread = (name: string): string =>
    inverse.perImage ? graph.node("Expand", [name, graph.int64s([batch, value.channels])]) : name;
  const start = beta === undefined ? undefined : spread(beta.value);
  const moved = mean === undefined ? undefined : tape.times(mean, scale);
  const shift = moved === undefined ? start : graph.node("Sub", [start ?? tape.scalar(0), moved]);
  const result = affine(tape, value, {
    ...{ scale: { ...inverse, name: scale }, activation },
    shift: shift === undefined ? undefined : { ...inverse, name: shift },
  });
  return result.asTrained(value.isTrained || isTrained(options));
}

function isTrained({ gamma, beta }: Scaling): boolean {
  return gamma?.isTrained === true || beta?.isTrained === true;
}
