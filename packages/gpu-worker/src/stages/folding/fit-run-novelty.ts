import type { RunConfig } from "@trommel/common";
import { foldRunsOf, networkRunsOf, testPart, type FoldSplit } from "@trommel/common/artefacts";
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
 * the folds' images by those networks: the run's own has seen them all. A model that takes them has the novelty of the first, whose part
 * of a row comes first.
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
    const [network] = networkRunsOf(run.config);
    if (network === undefined) return await fitNovelty(await noveltyRows(run, rowsAtMost), product, measured);
    const own = await openRows(network, context);
    const fitted = await fitNovelty(await noveltyRows(own, rowsAtMost), product, measured);
    return { ...fitted, novelty: { ...fitted.novelty, dimension: run.rows.dimension } };
  } finally {
    await product.release();
  }
}

async function partsOfRuns(
  ids: readonly string[],
  of: { readonly rowsAtMost: number; readonly context: StageContext; readonly product: MatrixProduct },
): Promise<HeldOutParts> {
  const { rowsAtMost, context, product } = of;
  const parts: HeldOutParts[] = [];
  for (const id of ids) {
    parts.push(await heldOutParts(await noveltyRows(await openRows(id, context), rowsAtMost), product));
  }
  const joined = (name: keyof HeldOutParts): Float64Array =>
    Float64Array.from(parts.flatMap((part) => [...part[name]]));
  return { relative: joined("relative"), minor: joined("minor") };
}

async function openRows(id: string, context: StageContext): Promise<RunRows> {
  const { store } = context;
  const config = await readRunConfig(store, id);
  const split = await readFoldSplit(store, id);
  const rows = await FoldRows.open(config, split, await readStandardization(store, id), context);
  return { config, split, rows };
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
