import { runKeys, TrommelError, type ObjectStore } from "@trommel/common";
import { decodeStandardization, type Moments, type Standardization } from "@trommel/common/artefacts";
import { readInput } from "@trommel/common/codec";
import { adviceOnFailedFiles, sameEmbeddings } from "../inputs/features.js";

/**
 * A deviation below this share of the root mean square is rounding, and the dimension is constant: a network's float32 sums are
 * exact to 1e-5 or so, and divided by a smaller deviation their rounding would count as much as what images differ in.
 */
const leastDeviation = 1e-4;
/** Embeddings half of whose dimensions vary by less than this share of their size hardly differ. */
const smallDeviation = 1e-2;

/** Mean and deviation of every dimension of a run with `head: auto`. @throws TrommelError `missing-input`, `corrupt` */
export async function readStandardization(store: ObjectStore, id: string): Promise<Standardization> {
  const key = runKeys(id).standardization;
  return decodeStandardization((await readInput(store, key)).bytes, key);
}

/** @throws TrommelError `bad-dataset` if there is no row, or every dimension is constant */
export function standardizationOf(runId: string, { rowCount, sum, squareSum }: Moments): Standardization {
  const mean = Float32Array.from(sum, (value) => value / rowCount);
  const scale = Float32Array.from(sum, (value, i) => {
    const centre = value / rowCount;
    const meanSquare = (squareSum[i] as number) / rowCount;
    const deviation = Math.sqrt(Math.max(0, meanSquare - centre * centre));
    return deviation <= leastDeviation * Math.sqrt(meanSquare) ? 0 : 1 / deviation;
  });
  if (rowCount > 0 && scale.some((value) => value > 0)) return { mean, scale };
  const why =
    rowCount === 0
      ? `none of its files could be read. ${adviceOnFailedFiles(runId)}`
      : sameEmbeddings(rowCount);
  throw new TrommelError("bad-dataset", `cannot standardise the embeddings of ${runId}: ${why}`, {
    context: { run: runId, rows: rowCount },
  });
}

/** A sentence if the training images' embeddings hardly differ. Dimensions that are always 0 do not count. */
export function variationNotes({ mean, scale }: Standardization): string[] {
  let [small, counted] = [0, 0];
  for (const [i, of] of scale.entries()) {
    const centre = Math.abs(mean[i] as number);
    if (centre === 0 && of === 0) continue;
    counted += 1;
    if (of === 0 || 1 / of < smallDeviation * centre) small += 1;
  }
  if (2 * small < counted) return [];
  return [
    `The embeddings of the training images hardly differ: ${small} of ${counted} dimensions vary by less than 1 % of their size. Check that the images show different things; most other images are novel to this model.`,
  ];
}
