import { TrommelError, namedNormalizations } from "@trommel/common";
import type { FileWeight, WeightFile } from "./weight-file.js";

/**
 * The layer `normalization` that tf.keras puts before its EfficientNets. It holds ImageNet's mean and, whatever its name
 * says, either the variance or the deviation of pixels in 0..1 (the published files of TensorFlow 2.3 hold the
 * deviation, and a Rescaling layer of later versions makes up for it). It is preprocessing, which a backbone's spec
 * states and the compiled graph does; so it is checked here and then left out.
 */
export interface Preprocessing {
  /** The weights of the file without that layer's. */
  readonly network: readonly FileWeight[];
  /** What was left out, in words; undefined where the file has no such layer. */
  readonly note: string | undefined;
}

const tolerance = 1e-3;

/** @throws TrommelError `corrupt` where the layer holds anything but ImageNet's figures */
export async function setPreprocessingAside(file: WeightFile): Promise<Preprocessing> {
  const isPreprocessing = ({ layer }: FileWeight): boolean => /^normalization(_\d+)?$/.test(layer);
  const set = file.weights.filter(isPreprocessing);
  if (set.length === 0) return { network: file.weights, note: undefined };
  const layer = set[0]?.layer ?? "";
  const mean = await threeNumbers(file, set, "mean");
  const variance = await threeNumbers(file, set, "variance");
  const rest = set.filter(({ name }) => name !== "mean" && name !== "variance" && name !== "count");
  const imagenet = namedNormalizations.torch;
  const deviation = imagenet.deviation.map((value) => value / 255);
  const isMean = near(
    mean,
    imagenet.mean.map((value) => value / 255),
  );
  const isDeviation = near(variance, deviation);
  const isVariance = near(
    variance,
    deviation.map((value) => value * value),
  );
  if (rest.length > 0 || !isMean || !(isDeviation || isVariance)) {
    throw new TrommelError(
      "corrupt",
      `failed to read ${file.url}: its layer ${layer} prepares pixels with the mean ${words(mean)} and the variance ` +
        `${words(variance)}, and only ImageNet's are known. Save the network without that layer, and name the numbers with --normalize.`,
    );
  }
  const note = `the file's layer ${layer} holds ImageNet's mean and ${isDeviation ? "deviation" : "variance"}: it is preprocessing, left to the backbone's normalisation`;
  return { network: file.weights.filter((weight) => !isPreprocessing(weight)), note };
}

async function threeNumbers(
  file: WeightFile,
  weights: readonly FileWeight[],
  name: string,
): Promise<readonly number[]> {
  const weight = weights.find((candidate) => candidate.name === name);
  const count = weight?.shape.reduce((product, side) => product * side, 1);
  if (weight === undefined || count !== 3) return [];
  const [values] = await file.read([weight]);
  return [...(values ?? [])];
}

function near(found: readonly number[], expected: readonly number[]): boolean {
  return (
    found.length === expected.length &&
    found.every((value, index) => Math.abs(value - (expected[index] ?? NaN)) <= tolerance)
  );
}

function words(numbers: readonly number[]): string {
  return numbers.length === 0
    ? "(not three numbers)"
    : numbers.map((value) => value.toPrecision(4)).join(", ");
}
