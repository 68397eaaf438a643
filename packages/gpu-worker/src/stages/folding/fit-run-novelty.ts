import type { RunConfig } from "@trommel/common";
import { foldRunsOf, testPart, type FoldSplit } from "@trommel/common/artefacts";
import { MatrixProduct } from "../../linalg/matrix-product.js";
import {
  fitNovelty,
  heldOutParts,
  type FittedNovelty,
  type HeldOutParts,
} from "../../measure/novelty/fit-novelty.js";
import type { NoveltyRows } from "../../measure/novelty/moments.js";
import type { StageContext } from "../context.js";
import { readRunConfig } from "../inputs/run.js";
import { FoldRows } from "./fold-rows.js";
import { readFoldSplit } from "./fold-split.js";
import { readStandardization } from "./standardization.js";

interface RunRows {
  readonly config: RunConfig;
  readonly split: FoldSplit;
  readonly rows: FoldRows;
}

/**
 * Fits novelty on the images of all folds, or on a seeded sample of them. If each fold has a network of its own, its percentiles are of
 * the folds' images by those networks: the run's own has seen them all.
 * @param rowsAtMost about as many rows at most
 */
export async function fitRunNovelty(
  run: RunRows,
  rowsAtMost: number,
  context: StageContext,
): Promise<FittedNovelty> {
  const product = new MatrixProduct({ threads: context.threads });
  try {
    const foldRuns = foldRunsOf(run.config);
    const measured =
      foldRuns.length === 0 ? undefined : await partsOfRuns(foldRuns, { rowsAtMost, context, product });
    return await fitNovelty(await noveltyRows(run, rowsAtMost), product, measured);
  } finally {
    await product.release();
  }
}

async function partsOfRuns(
  ids: readonly string[],
  of: { readonly rowsAtMost: number; readonly context: StageContext; readonly product: MatrixProduct },
): Promise<HeldOutParts> {
  const { rowsAtMost, context, product } = of;
  const { store } = context;
  const parts: HeldOutParts[] = [];
  for (const id of ids) {
    const config = await readRunConfig(store, id);
    const split = await readFoldSplit(store, id);
    const rows = await FoldRows.open(config, split, await readStandardization(store, id), context);
    parts.push(await heldOutParts(await noveltyRows({ config, split, rows }, rowsAtMost), product));
  }
  const joined = (name: keyof HeldOutParts): Float64Array =>
    Float64Array.from(parts.flatMap((part) => [...part[name]]));
  return { relative: joined("relative"), minor: joined("minor") };
}

async function noveltyRows({ config, split, rows }: RunRows, rowsAtMost: number): Promise<NoveltyRows> {
  const views = config.recipe.views.count;
  const { features, labels, parts } = await rows.collect(
    ({ part }) => part !== testPart,
    rowsAtMost,
    "images",
  );
  const ofImages = (values: Int32Array): Int32Array => values.filter((_, row) => row % views === 0);
  return {
    ...{ rows: features, dimension: rows.dimension, views },
    ...{ labels: ofImages(labels), classCount: rows.labels.length },
    // With a single fold everything else is a part that is not predicted.
    ...{ foldOf: ofImages(parts), folds: Math.max(2, split.folds), predictedFolds: split.folds },
  };
}
