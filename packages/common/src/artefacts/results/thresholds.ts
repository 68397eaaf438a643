import { z } from "zod";

/** From which probability on an answer is right often enough, by class: measured out of fold. */
export const thresholds = z
  .object({
    /** The share of the accepted answers that should be right. */
    precision: z.number().gt(0).lt(1),
    /** In output order. */
    perClass: z.array(
      z
        .object({
          label: z.string(),
          /** The least probability that is accepted; null where none reaches the precision. */
          threshold: z.number().nullable(),
          /** The share of accepted answers that were right, each fold by the thresholds of the others; null if none was accepted. */
          precision: z.number().nullable(),
          /** The share of this class's answers that were accepted, by the same; null if there was none. */
          coverage: z.number().nullable(),
          accepted: z.int().nonnegative(),
        })
        .strict(),
    ),
  })
  .strict();
/** From which probability on an answer is right often enough, by class: measured out of fold. */
export type Thresholds = z.infer<typeof thresholds>;
