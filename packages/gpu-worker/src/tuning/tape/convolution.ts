import type { ConvolutionForm } from "./convolution-form.js";
import { BlockedConvolution } from "./blocked-convolution.js";
import { throughActivation, type FusedActivation } from "./fused-activation.js";
import type { Geometry } from "./geometry.js";
import { sumsOf } from "./passes.js";
import { PlainConvolution } from "./plain-convolution.js";
import type { Tape, Weight } from "./tape.js";
import type { Value } from "../values/value.js";

/**
 * A convolution of [N, C, H, W] by a kernel [O, C / groups, kh, kw].
 * @param weights the bias is [O]; so is the shift, which is added like it and is nothing that trains
 */
export function convolve(
  tape: Tape,
  input: Value,
  weights: {
    readonly kernel: Weight;
    readonly bias?: Weight | undefined;
    readonly shift?: string | undefined;
  },
  geometry: Geometry,
  activation?: FusedActivation,
): Value {
  const { kernel, bias, shift } = weights;
  const form = formOf(tape, input, kernel, geometry);
  const offset =
    bias === undefined || shift === undefined
      ? (bias?.value ?? shift)
      : tape.graph.node("Add", [bias.value, shift]);
  const isTrained = input.isTrained || kernel.isTrained || bias?.isTrained === true;
  const emit = (): Value => form.forward(input, offset, activation).asTrained(isTrained);
  const spread = (gradient: Value): void => {
    const before = throughActivation(tape, activation, output, gradient);
    if (bias?.isTrained === true) tape.addWeightGradient(bias, tape.sumOver(sumsOf(tape, before), [0]));
    if (kernel.isTrained) tape.addWeightGradient(kernel, form.kernelGradient(input, before));
    if (input.isTrained) tape.addGradient(input, form.inputGradient(before));
  };
  // The runtime gives a plain convolution by a constant kernel another form than one by a value, which ends in other digits.
  const isAlike = kernel.isTrained || form instanceof BlockedConvolution;
  const output = isAlike ? tape.computed(emit, spread) : tape.record(emit(), spread);
  return output;
}

function formOf(tape: Tape, input: Value, kernel: Weight, geometry: Geometry): ConvolutionForm {
  return (
    BlockedConvolution.find(tape, input, kernel, geometry) ??
    new PlainConvolution(tape, input, kernel, geometry)
  );
}
