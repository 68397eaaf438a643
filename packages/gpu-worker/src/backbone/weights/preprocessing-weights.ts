import { TrommelError, namedNormalizations } from "@trommel/common";
import type { FileWeight, WeightFile } from "./weight-file.js";

/**
 * The layer `normalization` that tf.keras puts before its EfficientNets. It contains ImageNet's mean and, whatever its name,
 * either the variance or the standard deviation of pixels in 0..1 (the published files of TensorFlow 2.3 contain the
 * deviation, and a Rescaling layer of later versions compensates for it). It is preprocessing, which the backbone's spec
 * states and the compiled graph performs, so it is checked here and then left out.
 */
export interface Preprocessing {
  /** The weights of the file without that layer's. */
  readonly network: readonly FileWeight[];
  /** Says what was left out; undefined if the file has no such layer. */
  readonly note: string | undefined;
}

const tolerance = 1e-3;

/** @throws TrommelError `corrupt` if the layer contains anything but ImageNet's values */
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
      `cannot read ${file.url}: its layer ${layer} normalises pixels with the mean ${words(mean)} and the variance ` +
        `${words(variance)}, and only ImageNet's values are supported. Save the network without that layer, and give its values with --normalize`,
    );
  }
  const note = `the file's layer ${layer} contains ImageNet's mean and ${isDeviation ? "deviation" : "variance"}: it is left out, because the backbone's normalisation does the same`;
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
