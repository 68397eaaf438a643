import path from "node:path";
import { openStore } from "@trommel/common";
import { autoHeadOf } from "@trommel/common/recipe";
import type { Choice } from "@trommel/common/artefacts";
import { mcnemar } from "#gpu-worker/measure/mcnemar";
import { predictedClasses } from "#gpu-worker/measure/classes";
import { hitsOf } from "#gpu-worker/measure/predictions";
import { readRunConfig } from "#gpu-worker/stages/inputs/run";
import { readFoldSplit } from "#gpu-worker/stages/folding/fold-split";
import { readImageLabels } from "#gpu-worker/stages/folding/image-places";
import { readOutOfFold } from "#gpu-worker/stages/folding/out-of-fold";
import { stageContext } from "../../learn/run-stages.js";
import { readRunChoice } from "../../learn/trained-run.js";
import type { Material } from "../../material/material.js";
import { trommel } from "../../material/trommel-command.js";
import type { BenchResult, BenchRow, BenchSetting } from "../../result.js";

const seeds = [1, 2, 3];
const thirds = 3;
const toReach = { accuracy: 0.95, logLoss: 0.18 };
/** The half of the larger network that is next to the head, in views in any direction. */
const settings = [
  ...["views.count=4", "views.rotation=30", "views.zoom=0.15", "views.verticalFlip=true"],
  ...["tune.epochs=8", "tune.mixup=0.2", "tune.averageDecay=0.97", "tune.dropout=0.2"],
  "tune.optimizer.learningRate=0.0004",
];
/** If the figures above are not reached: tuned over frozen. */
const paired = { pValueBelow: 0.05, logLossRatioAtMost: 0.85 };

interface Measured {
  readonly choice: Choice;
  /** By image in listing order, which no seed changes: whether the chosen heads that never saw it are right. */
  readonly hits: Uint8Array;
}

interface Pair {
  readonly seed: number;
  readonly minutes: number;
  readonly tuned: Measured;
  readonly frozen: Measured;
}

/**
 * A tuned network on three thirds of the photographs that are held out in turn, with three seeds: what the heads say of photographs
 * that neither they nor their network saw, next to the same recipe on the network as it was imported, on the same thirds.
 */
export async function benchTuned(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const pairs: Pair[] = [];
  const backbone = material.runBackbones.at(-1) ?? "";
  for (const seed of seeds) {
    const id = `tuned-${seed}`;
    const start = performance.now();
    await trommel(
      ...["train", material.pictures, "--run", id, "--store", store, "--backbone", backbone, "--tune"],
      ...[...settings, `tune.folds=${thirds}`, `seed=${seed}`].flatMap((field) => ["--set", field]),
      ...["--workers", String(setting.threads), "--threads", "1"],
    );
    const minutes = (performance.now() - start) / 60_000;
    const [tuned, frozen] = [await measureRun(store, id), await measureRun(store, `${id}-untuned`)];
    pairs.push({ seed, minutes, tuned, frozen });
    setting.say(`tuned: seed ${seed}: ${figuresOf(tuned)}, frozen ${figuresOf(frozen)}`);
  }
  return {
    rows: [...pairs.map(rowOf), ...pooledRows(pairs)],
    measured: pairs.map(({ tuned, frozen, ...rest }) => ({
      ...rest,
      tuned: tuned.choice,
      frozen: frozen.choice,
    })),
  };
}

async function measureRun(folder: string, id: string): Promise<Measured> {
  const choice = await readRunChoice(folder, id);
  const store = openStore(path.resolve(folder));
  const context = stageContext(store);
  try {
    const config = await readRunConfig(store, id);
    const split = await readFoldSplit(store, id);
    const { images, choices } = await readOutOfFold(config, autoHeadOf(config), split, context);
    const logits = choices[choice.candidates.findIndex(({ chosen }) => chosen)]?.logits;
    const labels = await readImageLabels(config, images, choice.labels, context);
    if (logits === undefined) throw new Error(`${id} has chosen no candidate`);
    return { choice, hits: hitsOf(predictedClasses(logits, choice.labels.length), labels) };
  } finally {
    store.close();
  }
}

function figuresOf({ choice: { outOfFold } }: Measured): string {
  return `${outOfFold.accuracy.value.toFixed(4)} and ${outOfFold.logLoss.value.toFixed(4)}`;
}

function rowOf({ seed, minutes, tuned, frozen }: Pair): BenchRow {
  const what = `tuned: seed ${seed}: accuracy and log loss of held-out thirds (anchor: frozen), ${minutes.toFixed(0)} min`;
  return { what, value: figuresOf(tuned), anchor: figuresOf(frozen) };
}

function pooledRows(pairs: readonly Pair[]): BenchRow[] {
  const mean = (of: (pair: Pair) => number): number =>
    pairs.reduce((sum, pair) => sum + of(pair), 0) / pairs.length;
  const accuracy = mean(({ tuned }) => tuned.choice.outOfFold.accuracy.value);
  const loss = mean(({ tuned }) => tuned.choice.outOfFold.logLoss.value);
  const frozenLoss = mean(({ frozen }) => frozen.choice.outOfFold.logLoss.value);
  const frozenAccuracy = mean(({ frozen }) => frozen.choice.outOfFold.accuracy.value);
  // The seeds divide the same photographs: each photograph has one vote, by what more of the seeds have got right.
  const rightOf = (one: "tuned" | "frozen", at: number): number =>
    pairs.reduce((sum, pair) => sum + (pair[one].hits[at] ?? 0), 0);
  const gains = Array.from(
    pairs[0]?.tuned.hits ?? [],
    (_, at) => rightOf("tuned", at) - rightOf("frozen", at),
  );
  const gained = gains.filter((gain) => gain > 0).length;
  const lost = gains.filter((gain) => gain < 0).length;
  const { pValue } = mcnemar(gained, lost);
  const ratio = loss / frozenLoss;
  return [
    {
      ...{ what: "tuned: accuracy, mean over the seeds (anchor: frozen)", target: `≥ ${toReach.accuracy}` },
      ...{ value: accuracy.toFixed(4), anchor: frozenAccuracy.toFixed(4) },
      reached: accuracy >= toReach.accuracy,
    },
    {
      ...{ what: "tuned: log loss, mean over the seeds (anchor: frozen)", target: `≤ ${toReach.logLoss}` },
      ...{ value: loss.toFixed(4), anchor: frozenLoss.toFixed(4), ratio: ratio.toFixed(3) },
      reached: loss <= toReach.logLoss,
    },
    {
      what: "tuned: the log loss over the frozen one's",
      ...{ value: ratio.toFixed(3), target: `≤ ${paired.logLossRatioAtMost}` },
      reached: ratio <= paired.logLossRatioAtMost,
    },
    {
      what: `tuned: photographs that the tuned one gets right with more seeds (anchor: the frozen one); McNemar's p ${pValue.toPrecision(2)}`,
      ...{ value: String(gained), anchor: String(lost), target: `p < ${paired.pValueBelow}` },
      reached: pValue < paired.pValueBelow && gained > lost,
    },
  ];
}
