import { SeededRandom } from "@trommel/common";

export interface DrawnPredictions {
  /** [rows, classes] */
  readonly logits: Float64Array;
  readonly labels: Int32Array;
  readonly foldOf: Int32Array;
}

export interface DrawnPredictionsOptions {
  readonly seed: number;
  readonly rows: number;
  readonly classes: number;
  readonly folds: number;
  /** What the true class's logit has above the others, in standard deviations of a logit. @default 1 */
  readonly skill?: number;
  /** All logits are multiplied by it. @default 1 */
  readonly sharpness?: number;
}

/** Normal logits around a true class that is drawn uniformly; folds in turn. */
export function drawnPredictions(options: DrawnPredictionsOptions): DrawnPredictions {
  const { seed, rows, classes, folds, skill = 1, sharpness = 1 } = options;
  const random = new SeededRandom(seed);
  const labels = Int32Array.from({ length: rows }, () => random.integer(classes));
  const logits = Float64Array.from(
    { length: rows * classes },
    (_, i) => sharpness * (random.normal() + (i % classes === labels[Math.floor(i / classes)] ? skill : 0)),
  );
  return { logits, labels, foldOf: Int32Array.from({ length: rows }, (_, row) => row % folds) };
}
