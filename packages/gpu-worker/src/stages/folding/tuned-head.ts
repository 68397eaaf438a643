import { runKeys, type HeadWeights, type ObjectStore, type RunConfig } from "@trommel/common";
import { readRoundFigures, keptRound, type Standardization } from "@trommel/common/artefacts";
import { readInput } from "@trommel/common/codec";
import { classifierOf, type Classifier } from "../../tuning/engine/tuning-state.js";
import { decodeCheckpoint } from "../../tuning/rounds/state-codec.js";
import { readStandardization } from "./standardization.js";

/** The classifier that a run tuned with its network, as a head on standardised embeddings. @throws TrommelError `missing-input` */
export async function readTunedHead(
  store: ObjectStore,
  { id }: RunConfig,
  { keep, averageDecay }: Pick<NonNullable<RunConfig["recipe"]["tune"]>, "keep" | "averageDecay">,
): Promise<HeadWeights> {
  const round = keptRound(await readRoundFigures(store, id), keep);
  const key = runKeys(id).tuning.checkpoint(round + 1);
  const { step, shared } = decodeCheckpoint((await readInput(store, key)).bytes, key);
  const classifier = classifierOf({ step, tensors: shared }, averageDecay);
  return onStandardized(classifier, await readStandardization(store, id));
}

/**
 * The head that gives of (x − mean) · scale what the classifier gives of x. A dimension that is constant on the images that were learned
 * from, whose scale is 0, counts with its mean.
 */
export function onStandardized({ kernel, bias }: Classifier, { mean, scale }: Standardization): HeadWeights {
  const classCount = bias.length;
  const data = new Float32Array(kernel.length);
  const offset = Float64Array.from(bias);
  for (let row = 0; row < mean.length; row += 1) {
    const factor = scale[row] as number;
    for (let column = 0; column < classCount; column += 1) {
      const at = row * classCount + column;
      const slope = kernel[at] as number;
      data[at] = factor === 0 ? 0 : slope / factor;
      offset[column]! += slope * (mean[row] as number);
    }
  }
  return {
    "output.kernel": { shape: [mean.length, classCount], data },
    "output.bias": { shape: [classCount], data: Float32Array.from(offset) },
  };
}
