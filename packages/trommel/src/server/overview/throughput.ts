import { stageTable, type Stage } from "@trommel/common";
import type { Brief } from "./brief.js";

/** A look at how much is done. */
export interface Sample {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly imagesPerSecond: number;
}

const samplesAtMost = 600;

/** How many images a second the runs of a cluster work through, over the last looks. */
export class Throughput {
  readonly #samples: Sample[] = [];
  #last: { readonly atMs: number; readonly done: ReadonlyMap<string, number> } | undefined;

  get samples(): readonly Sample[] {
    return this.#samples;
  }

  add(runs: readonly Brief[], atMs = Date.now()): Sample {
    const done = new Map(runs.map((run) => [run.id, imagesOf(run)]));
    let images = 0;
    // A run of which nothing was known has not done all of its images since.
    for (const [id, count] of done) images += Math.max(0, count - (this.#last?.done.get(id) ?? count));
    const seconds = (atMs - (this.#last?.atMs ?? atMs)) / 1000;
    const imagesPerSecond = seconds > 0 ? Number((images / seconds).toPrecision(4)) : 0;
    this.#last = { atMs, done };
    const sample = { atMs, imagesPerSecond };
    this.#samples.push(sample);
    if (this.#samples.length > samplesAtMost) this.#samples.shift();
    return sample;
  }
}

/** Images that it has extracted or scored. */
function imagesOf({ stages }: Brief): number {
  return stages
    .filter(({ stage, unit }) => unit === "images" && stageTable[stage as Stage].inLedger === true)
    .reduce((sum, { done }) => sum + done, 0);
}
