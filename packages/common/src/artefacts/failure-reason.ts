import { z } from "zod";

/** Why a listed file has no embedding or score: the closed list. */
export const failureReason = z.enum([
  "empty",
  "truncated",
  "not-an-image",
  "unsupported-format",
  "too-large",
  "too-many-pixels",
  "decode-failed",
  "not-found",
  "forbidden",
  "timed-out",
  /** The object is not the one that was listed. */
  "changed",
  "crashed-worker",
]);
export type FailureReason = z.infer<typeof failureReason>;
