import type { Predictions } from "./predictions.js";

/** Mistakes that a report shows. */
export const mistakesShown = 24;

/**
 * The rows whose predicted class is wrong, those with the highest probability of it first, the earlier row on a tie.
 * @param most how many of them
 */
export function worstMistakes(
  { hits, confidences }: Pick<Predictions, "hits" | "confidences">,
  most = mistakesShown,
): number[] {
  const confidence = (row: number): number => confidences[row] as number;
  let kept: number[] = [];
  for (const [row, hit] of hits.entries()) {
    if (hit === 1) continue;
    kept.push(row);
    // Sorted now and then, so that the mistakes of millions of images are never held at once.
    if (kept.length < 100 * most) continue;
    kept.sort((a, b) => confidence(b) - confidence(a) || a - b);
    kept = kept.slice(0, most);
  }
  return kept.sort((a, b) => confidence(b) - confidence(a) || a - b).slice(0, most);
}
