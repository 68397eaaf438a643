import { stageTable, type StageProgress } from "@trommel/common";

/** How far a stage of a run is. */
export interface Progress {
  /** The stage, such as `extract`. */
  readonly stage: string;
  /** What is done, in `unit`. */
  readonly done: number;
  /** What is known to be to do, in `unit`; it grows while a listing streams. */
  readonly total: number;
  /** What the stage counts. */
  readonly unit: "images" | "epochs" | "jobs";
  /** `unit`s a second since the stage was first seen; undefined until something was done since. */
  readonly perSecond: number | undefined;
  /** Seconds that the rest takes at that rate; 0 when it is done, undefined while the rate is unknown. */
  readonly secondsLeft: number | undefined;
  /** Images that failed. */
  readonly failed: number;
  /** Images whose features were reused from the store. */
  readonly reused: number;
  /** A remark of the stage, such as the last epoch's figures; often empty. */
  readonly note: string;
}

interface FirstSeen {
  readonly atMs: number;
  readonly done: number;
}

/** Turns what followers see of a run into rates: those of one reader, from when it began to look. */
export class Rates {
  readonly #first = new Map<string, FirstSeen>();

  of(stage: StageProgress, nowMs = performance.now()): Progress {
    const { done, total, unit } = countsOf(stage);
    const first = this.#first.get(stage.stage) ?? { atMs: nowMs, done };
    this.#first.set(stage.stage, first);
    const seconds = (nowMs - first.atMs) / 1000;
    const rate = seconds > 0 ? (done - first.done) / seconds : 0;
    const perSecond = rate > 0 ? rate : undefined;
    return {
      stage: stage.stage,
      done,
      total,
      unit,
      perSecond,
      secondsLeft: done >= total ? 0 : perSecond === undefined ? undefined : (total - done) / perSecond,
      failed: stage.failedImages,
      reused: stage.reusedImages,
      note: stage.note,
    };
  }
}

/** What a stage counts, by the stage table; its jobs if it counts images and how many is not known yet. */
function countsOf(stage: StageProgress): Pick<Progress, "done" | "total" | "unit"> {
  const { counts: unit } = stageTable[stage.stage];
  if (unit === "images" && stage.imagesTotal > 0)
    return { done: stage.imagesDone, total: stage.imagesTotal, unit };
  return { done: stage.done, total: stage.total, unit: unit === "epochs" ? unit : "jobs" };
}
