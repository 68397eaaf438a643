import { readRunChoice } from "../../learn/trained-run.js";
import { tuneRun } from "../../learn/tuned-run.js";
import type { Material } from "../../material/material.js";
import { spreadOf } from "../../measure/statistics.js";
import type { BenchResult, BenchRow, BenchSetting } from "../../result.js";

const seeds = [1, 2, 3];
const replicas = [1, 2, 4, 8] as const;
/** A third is kept apart, and the classifier that was tuned with the network is measured on it as it is. */
const settings = [
  ...["views.count=1", "views.rotation=30", "views.horizontalFlip=true", "split.test=0.3333"],
  ...["head.effort=quick", "tune.head=tuned", "tune.blocks={last: 4}", "tune.epochs=16"],
];

/**
 * With R replicas each takes an Rth of the steps: the rate is R times the default, and so is the share of a batch's statistics. One
 * replica comes to the same bytes whatever the length of its rounds.
 */
function settingsOf(count: number): string[] {
  if (count === 1) return [];
  return [
    ...[`tune.replicas=${count}`, "tune.localSteps=4"],
    `tune.optimizer.learningRate=${0.0005 * count}`,
    `tune.statisticsMomentum=${0.05 * count}`,
  ];
}

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
  { say, threads }: BenchSetting,
): Promise<BenchResult> {
  const measured: Measured[] = [];
  for (const seed of seeds) {
    for (const count of replicas) {
      const id = `replicas-${count}-${seed}`;
      await tuneRun(id, material, store, {
        settings: [...settings, ...settingsOf(count), `seed=${seed}`],
        ...{ workers: Math.min(count, threads), threads: count === 1 ? threads : 1 },
      });
      const { test } = await readRunChoice(store, id);
      if (test === null) throw new Error(`${id} has no test part`);
      const [accuracy, logLoss] = [test.accuracy.value, test.logLoss.value];
      measured.push({ replicas: count, seed, accuracy, logLoss });
      say(`replicas: ${count}, seed ${seed}: ${accuracy.toFixed(4)} and ${logLoss.toFixed(4)}`);
    }
  }
  return { rows: replicas.map((count) => rowOf(count, measured)), measured };
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
