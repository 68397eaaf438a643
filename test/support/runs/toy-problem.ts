import { SeededRandom, trainingRecipe, type HeadRecipe } from "@trommel/common";
import type { FactorLayer } from "#gpu-worker/head/noise/dropout-factors";
import type { TrainHeadInputs } from "#gpu-worker/head/train-head";

/** A training of three epochs. */
export const short = trainingRecipe.parse({
  epochs: 3,
  batchSize: 32,
  optimizer: { type: "adam", learningRate: 0.01 },
});

/** Three clouds in twelve dimensions that a straight cut separates; the training rows do not fill the last batch. */
export function toyProblem(head: HeadRecipe): TrainHeadInputs {
  const random = new SeededRandom(12);
  const centres = Array.from({ length: 3 }, () => Array.from({ length: 12 }, () => 0.5 * random.normal()));
  const draw = (count: number) => {
    const labels = Int32Array.from({ length: count }, (_, i) => i % 3);
    const features = new Float32Array(count * 12);
    for (const [i, label] of labels.entries()) {
      for (const [j, centre] of (centres[label] ?? []).entries())
        features[i * 12 + j] = centre + 0.2 * random.normal();
    }
    return { features, labels };
  };
  const training = { ...short, epochs: 15 };
  return { train: draw(310), validation: draw(99), classCount: 3, head, training, seed: 7 };
}

/** The layer's next factors, [rows, width]. */
export function factorsOf({ width, fill }: FactorLayer, rows: number): Float32Array {
  const values = new Float32Array(rows * width);
  fill(values);
  return values;
}
