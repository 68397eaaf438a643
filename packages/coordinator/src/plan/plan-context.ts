import type { ObjectStore, openStore, LiveRun } from "@trommel/common";
import type { JobProducer } from "../run-control/job-producer.js";

/** What every plan is given besides its configuration. */
export interface PlanContext {
  readonly attempt: number;
  readonly store: ObjectStore;
  readonly producer: JobProducer;
  readonly liveRun: LiveRun;
  /** Opens the place of the pictures. */
  readonly openSource: typeof openStore;
  /** Shards of the run that may be queued and unfinished. */
  readonly outstandingAtMost: number;
  readonly signal: AbortSignal;
  /** Told of files that no key can name and that are left out. */
  readonly onNotice: (notice: string) => void;
  /** Told when Redis has no room for the run's jobs. */
  readonly onFull: () => void;
}
