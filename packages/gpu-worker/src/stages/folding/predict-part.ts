import type { HeadRecipe, HeadWeights, Recipe } from "@trommel/common";
import type { PredictedImages } from "@trommel/common/artefacts";
import { servedFlips } from "@trommel/common/recipe";
import { headLogits } from "../../head/compiled/head-logits.js";
import { featuresOfHead } from "../../head/model/ensemble.js";
import type { FoldRows } from "./fold-rows.js";

/** Images whose logits are computed together. */
const imagesAtOnce = 2048;

/**
 * The logits of each head for the images of a fold or of the test part, in listing order: averaged over the views that the model
 * serves with, the image itself and perhaps flips of it, which are its first views.
 */
export async function predictPart(
  rows: FoldRows,
  part: number,
  {
    views,
    ...of
  }: {
    readonly head: HeadRecipe;
    readonly heads: readonly HeadWeights[];
    readonly views: number;
    readonly ownNetworks: boolean;
  },
): Promise<PredictedImages> {
  const { head, heads } = of;
  const shard: number[] = [];
  const position: number[] = [];
  const logits = heads.map((): number[] => []);
  const alone = heads.map((): number[] => []);
  const waiting = new Float32Array(imagesAtOnce * views * rows.dimension);
  let count = 0;
  const flush = async (): Promise<void> => {
    const features = waiting.subarray(0, count * rows.dimension);
    for (const [variant, weights] of heads.entries()) {
      const found = await headLogits(head, weights, featuresOfHead(of, variant, features, count), count);
      const classCount = found.length / count;
      for (let image = 0; image < count / views; image += 1) {
        const ofViews = found.subarray(image * views * classCount, (image + 1) * views * classCount);
        logits[variant]?.push(...meanOfViews(ofViews, views));
        alone[variant]?.push(...ofViews.subarray(0, classCount));
      }
    }
    count = 0;
  };
  for await (const row of rows.each()) {
    if (row.view >= views || row.part !== part) continue;
    if (row.view === 0 && count === imagesAtOnce * views) await flush();
    waiting.set(row.values, count * rows.dimension);
    count += 1;
    if (row.view > 0) continue;
    shard.push(row.shard);
    position.push(row.position);
  }
  if (count > 0) await flush();
  const asFloats = (of: readonly number[][]) => of.map((values) => Float32Array.from(values));
  return {
    shard: Int32Array.from(shard),
    position: Int32Array.from(position),
    logits: asFloats(logits),
    ...(views === 1 ? {} : { alone: asFloats(alone) }),
  };
}

/** @param logits [views, classes] */
export function meanOfViews(logits: Float32Array, views: number): Float32Array {
  const classCount = logits.length / views;
  return Float32Array.from({ length: classCount }, (_, index) => {
    let sum = 0;
    for (let view = 0; view < views; view += 1) sum += logits[view * classCount + index] as number;
    return sum / views;
  });
}

/** How many of an image's first views a model averages. */
export function servedViews({ serving }: Pick<Recipe, "serving">): number {
  return 1 + servedFlips({ serving }).length;
}
