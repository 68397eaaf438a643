import { z } from "zod";

/** What training and evaluation measured; `metrics.json` of a bundle. All on the validation split's identity views. */

const perClass = z
  .object({
    label: z.string(),
    /** Validation rows of this class. */
    support: z.int().nonnegative(),
    /** Null where nothing was predicted as this class. */
    precision: z.number().nullable(),
    /** Null where the class has no validation row. */
    recall: z.number().nullable(),
    f1: z.number(),
  })
  .strict();

export const evaluation = z
  .object({
    rows: z.int().nonnegative(),
    accuracy: z.number(),
    /** Unweighted mean of the per-class F1 over the classes that have validation rows. */
    macroF1: z.number(),
    /** Mean negative natural logarithm of the true class's probability, probabilities clipped at 1e-15. */
    logLoss: z.number(),
    perClass: z.array(perClass),
    /** confusion[i][j]: rows of true class i predicted as class j, in label order. */
    confusion: z.array(z.array(z.int().nonnegative())),
  })
  .strict();
export type Evaluation = z.infer<typeof evaluation>;

export const epochRecord = z
  .object({
    epoch: z.int().positive(),
    learningRate: z.number(),
    trainLoss: z.number(),
    trainAccuracy: z.number(),
    validationLoss: z.number(),
    validationAccuracy: z.number(),
  })
  .strict();
export type EpochRecord = z.infer<typeof epochRecord>;

export const metrics = evaluation.extend({
  /** The epoch whose weights are kept: best validation accuracy, the later on a tie. */
  bestEpoch: z.int().positive(),
  history: z.array(epochRecord),
});
export type Metrics = z.infer<typeof metrics>;
