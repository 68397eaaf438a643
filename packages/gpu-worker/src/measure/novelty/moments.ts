import type { MatrixProduct } from "../../linalg/matrix-product.js";
import { GramAccumulator } from "../../linalg/gram/gram.js";

/** Standardised features of labelled images. */
export interface NoveltyRows {
  /** [images · views, dimension]: the views of an image follow each other, view 0 is the image itself. */
  readonly rows: Float32Array;
  readonly dimension: number;
  readonly views: number;
  /** Class of each image, from 0 to `classCount` − 1. */
  readonly labels: Int32Array;
  readonly classCount: number;
  /** Fold of each image, from 0 to `folds` − 1. */
  readonly foldOf: Int32Array;
  readonly folds: number;
  /** Distances are measured of the images of so many folds, the first ones. @default all */
  readonly predictedFolds?: number;
}

/** Sums over rows: those of disjoint rows add up. */
export interface Moments {
  readonly rowCount: number;
  /** [used, used] */
  readonly products: Float64Array;
  /** Rows of each class. */
  readonly classCounts: Float64Array;
  /** [classCount, used] */
  readonly classSums: Float64Array;
}

/** Sums over all views of a fold's images. @param used the features that take part */
export async function momentsOfFold(
  { rows, dimension, views, labels, classCount, foldOf }: NoveltyRows,
  fold: number,
  used: Int32Array,
  product: MatrixProduct,
): Promise<Moments> {
  const images = Array.from(foldOf.keys()).filter((image) => foldOf[image] === fold);
  const width = used.length;
  const gram = new GramAccumulator(width, product);
  const classCounts = new Float64Array(classCount);
  const classSums = new Float64Array(classCount * width);
  const part = new Float32Array(imagesAtOnce * views * width);
  for (let start = 0; start < images.length; start += imagesAtOnce) {
    const some = images.slice(start, start + imagesAtOnce);
    let to = 0;
    for (const image of some) {
      const label = labels[image] as number;
      classCounts[label] = (classCounts[label] as number) + views;
      for (let view = 0; view < views; view += 1) {
        const from = (image * views + view) * dimension;
        for (let i = 0, sum = label * width; i < width; i += 1, sum += 1, to += 1) {
          const value = rows[from + (used[i] as number)] as number;
          part[to] = value;
          classSums[sum] = (classSums[sum] as number) + value;
        }
      }
    }
    await gram.add(part.subarray(0, to), some.length * views);
  }
  const { products } = await gram.result();
  return { rowCount: images.length * views, products, classCounts, classSums };
}

/** Bounds the copy of the rows. */
const imagesAtOnce = 512;

/** a + sign · b */
export function combineMoments(a: Moments, b: Moments, sign: 1 | -1): Moments {
  const combine = (x: Float64Array, y: Float64Array) => x.map((value, i) => value + sign * (y[i] as number));
  return {
    rowCount: a.rowCount + sign * b.rowCount,
    products: combine(a.products, b.products),
    classCounts: combine(a.classCounts, b.classCounts),
    classSums: combine(a.classSums, b.classSums),
  };
}
