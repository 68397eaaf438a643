import { z } from "zod";
import type { ScoreFormat } from "../../recipe/recipe.js";
import { generationOutput } from "../store-keys.js";

/** Consecutive parts of one generation of a scoring. */
export const partSpan = z
  .object({
    generation: z.int().nonnegative(),
    first: z.int().nonnegative(),
    last: z.int().nonnegative(),
  })
  .strict();
export type PartSpan = z.infer<typeof partSpan>;

/** A part by the generation that wrote it and its number there. */
export interface PartPlace {
  readonly generation: number;
  readonly index: number;
}

/** Parts in order, from several generations. It holds their spans, and not the parts. */
export class PartList {
  readonly spans: readonly PartSpan[];
  /** The place of each span's first part. */
  readonly #starts: readonly number[];
  readonly length: number;

  constructor(spans: readonly PartSpan[]) {
    const starts: number[] = [];
    let length = 0;
    for (const { first, last } of spans) {
      starts.push(length);
      length += last - first + 1;
    }
    this.spans = spans;
    this.#starts = starts;
    this.length = length;
  }

  /** The key under the scoring's output. @throws RangeError where the list is shorter */
  key(place: number, format: ScoreFormat): string {
    const { generation, index } = this.at(place);
    return generationOutput(generation).part(index, format);
  }

  /** @throws RangeError where the list is shorter */
  at(place: number): PartPlace {
    let low = 0;
    let high = this.spans.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.#starts[middle] ?? 0) <= place) low = middle;
      else high = middle;
    }
    const span = this.spans[low];
    const index = (span?.first ?? 0) + place - (this.#starts[low] ?? 0);
    if (span === undefined || place < 0 || index > span.last)
      throw new RangeError(`there is no part ${place} among ${this.length}`);
    return { generation: span.generation, index };
  }
}

/** Parts in order as spans. */
export function spansOf(parts: Iterable<PartPlace>): PartSpan[] {
  const spans: { generation: number; first: number; last: number }[] = [];
  for (const { generation, index } of parts) {
    const open = spans.at(-1);
    if (open?.generation === generation && open.last + 1 === index) open.last = index;
    else spans.push({ generation, first: index, last: index });
  }
  return spans;
}
