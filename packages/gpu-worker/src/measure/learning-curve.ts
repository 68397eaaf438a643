export interface CurvePoint {
  /** Images trained on. */
  readonly images: number;
  /** On images that were not trained on; the same ones for every point. */
  readonly accuracy: number;
}

/** A gain below this share of the images, for twice as many, is hardly one. */
const noticeable = 0.005;

/**
 * Whether more images would help, in a sentence: from the gain in accuracy with every doubling of the training images, by
 * least squares over the points from half of them on, and its standard error if the points' errors are independent.
 * @param points by rising number of images
 * @param measured images behind each accuracy
 */
export function learningCurveSentence(points: readonly CurvePoint[], measured: number): string {
  const most = points.at(-1)?.images ?? 0;
  const late = points.filter(({ images }) => images >= most / 2 - 1);
  const { slope, error } = gainPerDoubling(late, measured);
  if (late.length < 2) return "There are too few points to say whether more photographs would help.";
  const gain = `a line through the last points rises by ${(100 * slope).toFixed(1)} percentage points of accuracy for twice as many`;
  if (slope >= noticeable && slope > error) return `More photographs are likely to help: ${gain}.`;
  if (slope + error < noticeable) return `More photographs like these would hardly help: ${gain}.`;
  return `More photographs may help: ${gain}, which is within chance.`;
}

function gainPerDoubling(points: readonly CurvePoint[], measured: number): { slope: number; error: number } {
  const xs = points.map(({ images }) => Math.log2(images));
  const centre = xs.reduce((sum, x) => sum + x, 0) / xs.length;
  const spread = xs.reduce((sum, x) => sum + (x - centre) ** 2, 0);
  let [slope, variance] = [0, 0];
  for (const [at, { accuracy }] of points.entries()) {
    const weight = ((xs[at] as number) - centre) / spread;
    slope += weight * accuracy;
    variance += weight ** 2 * ((accuracy * (1 - accuracy)) / measured);
  }
  return { slope, error: Math.sqrt(variance) };
}
