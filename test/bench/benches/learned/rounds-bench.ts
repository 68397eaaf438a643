import { stat } from "node:fs/promises";
import path from "node:path";
import { openStore, runKeys } from "@trommel/common";
import { readRoundFigures } from "@trommel/common/artefacts";
import { comparisonRow } from "../../compare/comparison-row.js";
import { tuneRun } from "../../learn/tuned-run.js";
import type { Material } from "../../material/material.js";
import type { BenchResult, BenchSetting } from "../../result.js";

/** Two replicas on one worker and on two, of one thread each: the whole network, in rounds as long as they are by default. */
const settings = [
  ...["views.count=1", "views.rotation=30", "split.test=0.3333", "head.effort=quick", "tune.head=tuned"],
  ...["tune.replicas=2", "tune.epochs=3", "tune.blocks=all"],
];
const turns = 3;
const batchSize = 32;

/** Images a second with all that a round is, from reading its images to its checkpoint and the loss of the held-out ones. */
export async function benchRounds(
  material: Material,
  store: string,
  { say }: BenchSetting,
): Promise<BenchResult> {
  const rates: [one: number[], two: number[]] = [[], []];
  for (let turn = 0; turn < turns; turn += 1) {
    for (const workers of [1, 2] as const) {
      const id = `rounds-${workers}-${turn}`;
      await tuneRun(id, material, store, { settings, workers, threads: 1 });
      const rate = await rateOfRounds(store, id);
      rates[workers - 1]?.push(rate);
      say(`rounds: 2 replicas on ${workers} worker(s): ${rate.toFixed(1)} images/s`);
    }
  }
  const row = comparisonRow({
    what: "rounds: two replicas on two workers of one thread (anchor: on one of one thread), images/s",
    ...{ own: rates[1], anchor: rates[0], atLeast: 1.7 },
  });
  return { rows: [row], measured: rates };
}

/** Of all rounds but the first, which begins with a worker's start: by when their figures were written. */
async function rateOfRounds(folder: string, id: string): Promise<number> {
  const store = openStore(path.resolve(folder));
  const figures = await readRoundFigures(store, id);
  store.close();
  const [first, last] = [figures[0], figures.at(-1)];
  if (first === undefined || last === undefined || first === last)
    throw new Error(`${id} has too few rounds to be timed`);
  const writtenAt = async (round: number): Promise<number> =>
    (await stat(path.join(folder, runKeys(id).tuning.round(round)))).mtimeMs / 1000;
  const seconds = (await writtenAt(last.round)) - (await writtenAt(first.round));
  return ((last.steps - first.steps) * 2 * batchSize) / seconds;
}
