import { stat } from "node:fs/promises";
import path from "node:path";
import { openStore, runKeys } from "@trommel/common";
import { readRoundFigures } from "@trommel/common/artefacts";
import { comparisonRow } from "../../compare/comparison-row.js";
import { readRunChoice } from "../../learn/trained-run.js";
import { trommel } from "../../material/trommel-command.js";
import type { Material } from "../../material/material.js";
import { spreadOf } from "../../measure/statistics.js";
import type { BenchResult, BenchRow, BenchSetting } from "../../result.js";

const seeds = [1, 2, 3];
const replicas = [1, 2, 4, 8] as const;
/** A third is kept apart, and the classifier that was tuned with the network is measured on it as it is. */
const settings = [
  ...["views.count=1", "views.rotation=30", "views.horizontalFlip=true", "split.test=0.3333"],
  ...["head.effort=quick", "tune.head=tuned", "tune.blocks={last: 4}", "tune.epochs=8"],
];

/** Two replicas on one worker and on two, of one thread each: the whole network, in rounds as long as they are by default. */
const paced = [
  ...["views.count=1", "views.rotation=30", "split.test=0.3333", "head.effort=quick", "tune.head=tuned"],
  ...["tune.replicas=2", "tune.epochs=3", "tune.blocks=all"],
];
const pacedTurns = 3;
const batchSize = 32;

interface Measured {
  readonly replicas: number;
  readonly seed: number;
  readonly accuracy: number;
  readonly logLoss: number;
}

/**
 * What it costs a network to be tuned by more replicas, which average their changes every four steps: the last four blocks of
 * MobileNetV1 0.75 on the same number of samples, with three seeds each, which divide the photographs equally for every number.
 */
export async function benchReplicas(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const { say, threads } = setting;
  const measured: Measured[] = [];
  for (const seed of seeds) {
    for (const count of replicas) {
      const id = `replicas-${count}-${seed}`;
      await tuneRun(id, material, store, {
        // One replica comes to the same bytes whatever the length of its rounds.
        settings: [
          ...settings,
          ...(count === 1 ? [] : [`tune.replicas=${count}`, "tune.localSteps=4"]),
          `seed=${seed}`,
        ],
        ...{ workers: Math.min(count, threads), threads: count === 1 ? threads : 1 },
      });
      const { test } = await readRunChoice(store, id);
      if (test === null) throw new Error(`${id} has no test part`);
      const [accuracy, logLoss] = [test.accuracy.value, test.logLoss.value];
      measured.push({ replicas: count, seed, accuracy, logLoss });
      say(`replicas: ${count}, seed ${seed}: ${accuracy.toFixed(4)} and ${logLoss.toFixed(4)}`);
    }
  }
  const workers = await measureWorkers(material, store, setting);
  const rows = [workers.row, ...replicas.map((count) => rowOf(count, measured))];
  return { rows, measured: { workers: workers.rates, replicas: measured } };
}

interface TunedRun {
  readonly settings: readonly string[];
  readonly workers: number;
  readonly threads: number;
}

async function tuneRun(
  id: string,
  { pictures, backbone }: Material,
  store: string,
  { settings: fields, workers, threads }: TunedRun,
): Promise<void> {
  await trommel(
    ...["train", pictures, "--run", id, "--store", store, "--backbone", backbone, "--tune"],
    ...fields.flatMap((field) => ["--set", field]),
    ...["--workers", String(workers), "--threads", String(threads)],
  );
}

/** Images a second with all that a round is, from reading its images to its checkpoint and the loss of the held-out ones. */
async function measureWorkers(
  material: Material,
  store: string,
  { say }: BenchSetting,
): Promise<{ readonly row: BenchRow; readonly rates: readonly number[][] }> {
  const rates: [one: number[], two: number[]] = [[], []];
  for (let turn = 0; turn < pacedTurns; turn += 1) {
    for (const workers of [1, 2] as const) {
      const id = `paced-${workers}-${turn}`;
      await tuneRun(id, material, store, { settings: paced, workers, threads: 1 });
      const rate = await rateOfRounds(store, id);
      rates[workers - 1]?.push(rate);
      say(`replicas: 2 on ${workers} worker(s): ${rate.toFixed(1)} images/s`);
    }
  }
  const row = comparisonRow({
    what: "replicas: two on two workers of one thread (anchor: on one of one thread), images/s",
    ...{ own: rates[1], anchor: rates[0], atLeast: 1.7 },
  });
  return { row, rates };
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

/** Reached where the mean lies no lower than the lowest seed of one replica. */
function rowOf(count: number, measured: readonly Measured[]): BenchRow {
  const of = (wanted: number) => measured.filter((each) => each.replicas === wanted);
  const show = (wanted: number): string => {
    const [accuracy, loss] = [
      of(wanted).map((each) => each.accuracy),
      of(wanted).map((each) => each.logLoss),
    ];
    const { least, most } = spreadOf(accuracy);
    return `${mean(accuracy).toFixed(4)} (${least.toFixed(4)}–${most.toFixed(4)}), ${mean(loss).toFixed(4)}`;
  };
  const lowest = Math.min(...of(1).map(({ accuracy }) => accuracy));
  return {
    what: `replicas: ${count}: held-out accuracy (of the seeds), log loss${count === 1 ? "" : " (anchor: one replica)"}`,
    value: show(count),
    ...(count === 1
      ? {}
      : {
          anchor: show(1),
          target: `≥ ${lowest.toFixed(4)}, the lowest of one`,
          reached: mean(of(count).map(({ accuracy }) => accuracy)) >= lowest,
        }),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
