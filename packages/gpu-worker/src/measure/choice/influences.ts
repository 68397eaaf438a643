import { confusionFigures } from "../classes.js";

/*
 * Influence functions of figures of a confusion matrix: what an image with label y and prediction p adds to
 * n · (figure − its expectation). Tables [y, p]; K classes have images, n_c are of class c and m_c predicted as c.
 */

/** For balanced accuracy: n / (K · n_y) · ([p = y] − recall_y). */
export function recallInfluences(confusion: Float64Array, classCount: number): Float64Array {
  const { perClass } = confusionFigures(confusion, classCount);
  const scale = scaleOf(confusion, perClass);
  return tableOf(classCount, (label, guess) => {
    const { support, recall } = perClass[label] as (typeof perClass)[number];
    return recall === null ? 0 : (scale * ((guess === label ? 1 : 0) - recall)) / support;
  });
}

/**
 * For macro F1, where F1_c = 2 · hits_c / (n_c + m_c): n / K · Σ_c (2 · [p = y = c] − F1_c · ([y = c] + [p = c])) / (n_c + m_c)
 * over the classes that have images.
 */
export function f1Influences(confusion: Float64Array, classCount: number): Float64Array {
  const { perClass } = confusionFigures(confusion, classCount);
  const scale = scaleOf(confusion, perClass);
  const predictedAs = new Float64Array(classCount);
  for (const [cell, count] of confusion.entries()) {
    predictedAs[cell % classCount] = (predictedAs[cell % classCount] as number) + count;
  }
  return tableOf(classCount, (label, guess) => {
    const term = (c: number) => {
      const { support, f1 } = perClass[c] as (typeof perClass)[number];
      if (support === 0) return 0;
      const mentions = (label === c ? 1 : 0) + (guess === c ? 1 : 0);
      return ((mentions === 2 ? 2 : 0) - f1 * mentions) / (support + (predictedAs[c] as number));
    };
    return scale * (label === guess ? term(label) : term(label) + term(guess));
  });
}

/** n / K */
function scaleOf(confusion: Float64Array, perClass: readonly { readonly support: number }[]): number {
  return (
    confusion.reduce((sum, count) => sum + count, 0) / perClass.filter(({ support }) => support > 0).length
  );
}

function tableOf(classCount: number, valueOf: (label: number, guess: number) => number): Float64Array {
  return Float64Array.from({ length: classCount * classCount }, (_, cell) =>
    valueOf(Math.floor(cell / classCount), cell % classCount),
  );
}
