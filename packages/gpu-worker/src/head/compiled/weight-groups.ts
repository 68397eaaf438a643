import type { StepOptimizerRecipe } from "@trommel/common";
import { isBias } from "../model/head-model.js";

/** Weights that an optimiser updates as one vector, in order. */
export interface WeightGroup {
  readonly names: readonly string[];
  readonly lengths: readonly number[];
  readonly length: number;
  /** Whether AdamW's decay applies to it. */
  readonly decays: boolean;
}

/** Weights from this length on are updated alone: packing and unpacking them costs more than further nodes. */
const aloneFrom = 16_384;

/** Weights in their groups: each large one alone, all small ones together; for AdamW small kernels apart from biases. */
export function groupWeights(
  shapes: ReadonlyMap<string, readonly number[]>,
  { type }: Pick<StepOptimizerRecipe, "type">,
): WeightGroup[] {
  const sizes = [...shapes].map(([name, shape]) => [name, sizeOf(shape)] as const);
  const small = sizes.filter(([, size]) => size < aloneFrom);
  const alone = sizes.filter(([, size]) => size >= aloneFrom).map((entry) => [entry]);
  const kinds =
    type === "adamw"
      ? [small.filter(([name]) => !isBias(name)), small.filter(([name]) => isBias(name))]
      : [small];
  const groups = [...alone, ...kinds.filter(({ length }) => length > 0)];
  return groups.map((entries) => ({
    decays: !entries.some(([name]) => isBias(name)),
    names: entries.map(([name]) => name),
    lengths: entries.map(([, size]) => size),
    length: entries.reduce((sum, [, size]) => sum + size, 0),
  }));
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** The group's vector. @param part a weight's values by its name; zeros if absent */
export function packGroup(
  group: WeightGroup,
  part: (name: string) => Float32Array | undefined,
): Float32Array<ArrayBuffer> {
  const packed = new Float32Array(group.length);
  let offset = 0;
  for (const [index, name] of group.names.entries()) {
    const values = part(name);
    if (values !== undefined) packed.set(values, offset);
    offset += group.lengths[index] as number;
  }
  return packed;
}

/** Copies of the group's parts, by weight. */
export function unpackGroup(group: WeightGroup, packed: Float32Array): [name: string, data: Float32Array][] {
  let offset = 0;
  return group.names.map((name, index) => {
    const length = group.lengths[index] as number;
    offset += length;
    return [name, packed.slice(offset - length, offset)];
  });
}
