import { sumsOf } from "./passes.js";
import type { Tape, Weight } from "./tape.js";
import { Value } from "../values/value.js";

/**
 * [N, D] · kernel + bias.
 * @param kernel [D, O]
 * @param bias [O]
 */
export function dense(
  tape: Tape,
  input: Value,
  { kernel, bias }: { readonly kernel: Weight; readonly bias?: Weight | undefined },
): Value {
  const { graph, batch } = tape;
  const x = tape.plainOf(input);
  const emit = (): string => {
    if (bias === undefined) return tape.product("Gemm", [x, kernel.value]);
    if (!tape.isMixed) return graph.node("Gemm", [x, kernel.value, bias.value]);
    return graph.node("Add", [tape.product("Gemm", [x, kernel.value]), bias.value]);
  };
  const isTrained = input.isTrained || kernel.isTrained || bias?.isTrained === true;
  const output = new Value([batch, kernel.shape[1] ?? 0], isTrained, { plain: emit() });
  return tape.record(output, (gradient) => {
    const dy = tape.plainOf(gradient);
    if (bias?.isTrained === true) tape.addWeightGradient(bias, tape.sumOver(sumsOf(tape, gradient), [0]));
    if (kernel.isTrained) tape.addWeightGradient(kernel, tape.product("Gemm", [x, dy], { transA: 1 }));
    if (!input.isTrained) return;
    const plain = tape.product("Gemm", [dy, kernel.value], { transB: 1 });
    tape.addGradient(input, new Value(input.shape, true, { plain }));
  });
}
