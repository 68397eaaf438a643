import type { ObjectStore, openStore, LiveRun, Stage } from "@trommel/common";
import type { JobProducer } from "../run-control/queueing/job-producer.js";

/** What every plan needs besides its configuration. */
export interface PlanContext {
  readonly attempt: number;
  readonly store: ObjectStore;
  readonly producer: JobProducer;
  readonly liveRun: LiveRun;
  /** Opens the store that images, or what lists them, are under. */
  readonly openSource: typeof openStore;
  /** What a job of a stage takes of its queue, by the priority that the run has at this moment. */
  readonly costOf: (stage: Stage) => Promise<number>;
  /** Shards of the run that may be queued and unfinished. */
  readonly outstandingAtMost: number;
  readonly signal: AbortSignal;
  /** Receives a notice of files that no key can name and that are skipped. */
  readonly onNotice: (notice: string) => void;
  /** Called when Redis has no room for the run's jobs. */
  readonly onFull: () => void;
}
