import { TrommelError } from "@trommel/common";
import { isHdf5, openKerasH5 } from "./keras-h5.js";
import { openKerasSafetensors } from "./keras-safetensors.js";
import { matchWeights, type Matching } from "./match-weights.js";
import { setPreprocessingAside } from "./preprocessing-weights.js";
import type { FileWeight, WeightFile } from "./weight-file.js";
import type { NamedWeight } from "./weight-layers.js";

/** The architecture that needs the weights. */
export interface WantedWeights {
  readonly architecture: string;
  /** In Keras's order of layers, and of weights within a layer. */
  readonly weights: readonly NamedWeight[];
}

/**
 * Reads a file of Keras weights (legacy HDF5, or safetensors) into an architecture.
 * @param url the file in error messages
 * @returns the values, one array for each weight of the architecture, in its order
 * @throws TrommelError `corrupt`, listing the mismatches of both sides, `unsupported`, `too-large`
 */
export async function readZooWeights(
  wanted: WantedWeights,
  bytes: Uint8Array,
  url: string,
  log: (line: string) => void = () => undefined,
): Promise<Float32Array[]> {
  const file = isHdf5(bytes) ? await openKerasH5(bytes, url) : openKerasSafetensors(bytes, url);
  try {
    return await readInto(wanted, file, log);
  } finally {
    await file.close();
  }
}

async function readInto(
  wanted: WantedWeights,
  file: WeightFile,
  log: (line: string) => void,
): Promise<Float32Array[]> {
  const { network, note } = await setPreprocessingAside(file);
  if (note !== undefined) log(note);
  const matching = matchWeights(wanted.weights, network, file.ordered);
  const pairs = matching.pairs.filter((pair) => pair !== undefined);
  if (pairs.length < matching.pairs.length || matching.leftOver.length > 0) {
    throw mismatch(wanted, file, network, matching);
  }
  if (matching.classifier.length > 0) {
    log(`left out the classifier at the file's end: ${matching.classifier.join(", ")}`);
  }
  log(
    matching.by === "name"
      ? `matched ${pairs.length} weights by their layers' names`
      : `matched ${pairs.length} weights by order, because the file contains none of the architecture's names`,
  );
  return await readFinite(file, pairs);
}

/** A single NaN among the weights would make every embedding NaN. */
async function readFinite(file: WeightFile, weights: readonly FileWeight[]): Promise<Float32Array[]> {
  const values = await file.read(weights);
  values.forEach((array, index) => {
    if (array.every(Number.isFinite)) return;
    const path = weights[index]?.path ?? "";
    throw new TrommelError(
      "corrupt",
      `cannot read ${file.url}: ${path} contains values that are not finite numbers. Fetch the file again`,
    );
  });
  return values;
}

const shownAtMost = 10;

function mismatch(
  wanted: WantedWeights,
  file: WeightFile,
  network: readonly FileWeight[],
  { pairs, by, leftOver }: Matching<FileWeight>,
): TrommelError {
  const missing = wanted.weights.filter((_, index) => pairs[index] === undefined);
  const here = missing.map((weight) => `${weight.layer}/${weight.name} ${sides(weight.shape)}`);
  const there = leftOver.map((weight) => `${weight.path} ${sides(weight.shape)}`);
  return new TrommelError(
    "corrupt",
    `cannot read ${file.url} as the weights of ${wanted.architecture}: compared by ${by}, ` +
      `${here.length} of the architecture's ${wanted.weights.length} weights are missing in the file: ${list(here)}; ` +
      `and ${there.length} of the file's ${network.length} weights match nothing: ${list(there)}. ` +
      "Set --arch to the architecture of the file",
    {
      context: {
        url: file.url,
        architecture: wanted.architecture,
        missing: here.length,
        leftOver: there.length,
      },
    },
  );
}

function sides(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}

function list(items: readonly string[]): string {
  if (items.length === 0) return "none";
  const shown = items
    .slice(0, shownAtMost)
    .map((item) => (item.length > 120 ? `${item.slice(0, 117)}...` : item));
  const more = items.length - shown.length;
  return shown.join(", ") + (more === 0 ? "" : `, and ${more} more`);
}
