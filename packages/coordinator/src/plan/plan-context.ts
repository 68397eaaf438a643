import type { ObjectStore, RunBoard } from "@trommel/common";
import type { JobProducer } from "../run-control/job-producer.js";

/** What every plan is given besides its configuration. */
export interface PlanContext {
  readonly attempt: number;
  readonly store: ObjectStore;
  readonly producer: JobProducer;
  readonly board: RunBoard;
  readonly signal: AbortSignal;
  /** Told of files that no key can name and that are left out. */
  readonly onNotice: (notice: string) => void;
}
