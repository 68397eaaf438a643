import type { RunConfig } from "@trommel/common";
import { testPart, type FoldSplit } from "@trommel/common/artefacts";
import { MatrixProduct } from "../../linalg/matrix-product.js";
import { fitNovelty, type FittedNovelty } from "../../measure/novelty/fit-novelty.js";
import type { FoldRows } from "./fold-rows.js";

/** Fits novelty on the images of all folds, or on a seeded sample of them. @param of.rowsAtMost about as many rows at most */
export async function fitRunNovelty(
  rows: FoldRows,
  of: {
    readonly config: RunConfig;
    readonly split: FoldSplit;
    readonly rowsAtMost: number;
    readonly threads: number;
  },
): Promise<FittedNovelty> {
  const views = of.config.recipe.views.count;
  const { features, labels, parts } = await rows.collect(
    ({ part }) => part !== testPart,
    of.rowsAtMost,
    "images",
  );
  const ofImages = (values: Int32Array): Int32Array => values.filter((_, row) => row % views === 0);
  const product = new MatrixProduct({ threads: of.threads });
  try {
    return await fitNovelty(
      {
        ...{ rows: features, dimension: rows.dimension, views },
        ...{ labels: ofImages(labels), classCount: rows.labels.length },
        // With a single fold everything else is a part that is not predicted.
        ...{ foldOf: ofImages(parts), folds: Math.max(2, of.split.folds), predictedFolds: of.split.folds },
      },
      product,
    );
  } finally {
    await product.release();
  }
}
