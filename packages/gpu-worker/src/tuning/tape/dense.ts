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
  const inputs = [x, kernel.value, ...(bias === undefined ? [] : [bias.value])];
  const isTrained = input.isTrained || kernel.isTrained || bias?.isTrained === true;
  const output = new Value([batch, kernel.shape[1] ?? 0], isTrained, { plain: graph.node("Gemm", inputs) });
  return tape.record(output, (gradient) => {
    const dy = tape.plainOf(gradient);
    if (bias?.isTrained === true) tape.addWeightGradient(bias, tape.sumOver(sumsOf(tape, gradient), [0]));
    if (kernel.isTrained) tape.addWeightGradient(kernel, graph.node("Gemm", [x, dy], { transA: 1 }));
    if (!input.isTrained) return;
    const plain = graph.node("Gemm", [dy, kernel.value], { transB: 1 });
    tape.addGradient(input, new Value(input.shape, true, { plain }));
  });
}
