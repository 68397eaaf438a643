import { SeededRandom, seedFrom, type TrainingRecipe } from "@trommel/common";
import type { JoinedRows } from "../model/row-set.js";

/**
 * The rows of an epoch in the order in which training uses them: from (seed, epoch) and nothing else. `natural` uses each row
 * once, `balanced` as many rows but of every class equally many.
 */
export function epochOrder(
  sampling: TrainingRecipe["sampling"],
  seed: number,
  { rows, epoch }: { readonly rows: JoinedRows; readonly epoch: number },
): Int32Array {
  const random = new SeededRandom(seedFrom(seed, "order", epoch));
  if (sampling === "balanced") return random.shuffle(drawBalanced(rows, random));
  return random.shuffle(Int32Array.from({ length: rows.count }, (_, row) => row));
}

/**
 * As many rows as there are, divided equally among the classes that have any; drawn classes get one more where the
 * division leaves a rest. A class's rows are used equally often, up to one.
 */
function drawBalanced(rows: JoinedRows, random: SeededRandom): Int32Array {
  const members = random.shuffle(rows.byClass());
  const drawn = new Int32Array(rows.count);
  let at = 0;
  for (const [index, own] of members.entries()) {
    const end = Math.ceil(((index + 1) * rows.count) / members.length);
    while (at < end) {
      const turn = random.shuffle(own).slice(0, end - at);
      drawn.set(turn, at);
      at += turn.length;
    }
  }
  return drawn;
}

/** The seed of an epoch's dropout factors, see `dropout-factors.ts`. */
export function noiseSeed(seed: number, epoch: number): number {
  return seedFrom(seed, "noise", epoch);
}

/** The seed of an epoch's input dropout. */
export function inputNoiseSeed(seed: number, epoch: number): number {
  return seedFrom(seed, "input noise", epoch);
}
