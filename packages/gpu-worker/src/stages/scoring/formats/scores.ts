import type { ScoreRow } from "@trommel/common";
import type { Carried } from "../carried-columns.js";

/** What a shard, or a batch of it, was scored as. */
export interface Scores {
  readonly rows: readonly ScoreRow[];
  /** [rows, labels] */
  readonly probabilities: Float32Array;
  /** Absent if the scoring carries no column. */
  readonly carried?: Carried | undefined;
}
