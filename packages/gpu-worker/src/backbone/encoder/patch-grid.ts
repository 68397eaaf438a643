import { int64ToNumber, type AttributeProto, type ModelProto } from "../../graph/onnx/onnx-proto.js";

/** More tokens than these before the patches' (a class token, a distillation token, registers) are no known network's. */
const prefixAtMost = 16;

/**
 * How many tokens come before those of the patches: those that are left without the patches of an image. The
 * patches are those of a convolution that does not overlap, as transformers begin with, or of stages that merge 2 × 2 of them.
 * @returns undefined if no such convolution explains the number of tokens
 */
export function prefixTokens(model: ModelProto, size: number, tokens: number): number | undefined {
  const sides = patchSides(model).flatMap((side) => [1, 2, 4, 8, 16].map((merged) => side * merged));
  const prefixes = sides.map((side) => tokens - Math.floor(size / side) ** 2);
  const fitting = prefixes.filter((prefix) => prefix >= 0 && prefix <= prefixAtMost && prefix < tokens);
  return fitting.length === 0 ? undefined : Math.min(...fitting);
}

/** Strides of square convolutions whose windows touch and do not overlap. */
function patchSides(model: ModelProto): readonly number[] {
  const kernels = new Map(
    (model.graph?.initializer ?? []).map(({ name, dims }) => [name ?? "", (dims ?? []).map(int64ToNumber)]),
  );
  return (model.graph?.node ?? []).flatMap(({ opType, attribute, input }) => {
    if (opType !== "Conv" && opType !== "FusedConv") return [];
    const ints = (name: string): number[] | undefined =>
      (attribute ?? []).find((one: AttributeProto) => one.name === name)?.ints?.map(int64ToNumber);
    const kernel = ints("kernel_shape") ?? kernels.get(input?.[1] ?? "")?.slice(2) ?? [];
    const strides = ints("strides") ?? [];
    const [side] = kernel;
    const isPatch =
      side !== undefined && side > 1 && [...kernel, ...strides].every((value) => value === side);
    return isPatch && kernel.length === 2 && strides.length === 2 ? [side] : [];
  });
}
