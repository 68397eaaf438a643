import { readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { openStore, sha256Hex } from "@trommel/common";
import type { Estimate } from "@trommel/common/artefacts";
import { mcnemar } from "#gpu-worker/measure/mcnemar";
import { readChoice } from "#gpu-worker/stages/inputs/choice";
import { readRunConfig } from "#gpu-worker/stages/inputs/run";
import { stageContext } from "../../learn/run-stages.js";
import { predictTest } from "../../learn/test-predictions.js";
import type { Material } from "../../material/material.js";
import { trommel } from "../../material/trommel-command.js";
import type { BenchResult, BenchRow, BenchSetting } from "../../result.js";

const seeds = [1, 2, 3];
const thirds = [0, 1, 2];
const toReach = { accuracy: 0.95, logLoss: 0.18 };
/**
 * The last four blocks, tuned for each of three folds of the other two thirds; heads and networks average over the flips, and over the
 * folds.
 */
const settings = [
  ...[
    "views.count=4",
    "views.flips=[horizontal, vertical, both]",
    "views.rotation=30",
    "views.verticalFlip=true",
  ],
  ...["serving.views=[identity, horizontal, vertical, both]", "head.learningCurve=false"],
  ...["tune.folds=3", "tune.networks=folds", "tune.blocks={last: 4}", "tune.epochs=8"],
  ...["tune.optimizer.learningRate=0.001", "tune.averageDecay=0.97"],
];
/** If the figures above are not reached: tuned over frozen. */
const paired = { pValueBelow: 0.05, logLossRatioAtMost: 0.85 };

/** What a model says of the photographs of a third that nothing of it has seen. */
interface Measured {
  readonly images: number;
  readonly logLoss: Estimate;
  readonly hits: ReadonlyMap<string, number>;
}

interface Pair {
  readonly seed: number;
  readonly third: number;
  readonly minutes: number;
  readonly tuned: Measured;
  readonly frozen: Measured;
}
type Side = "tuned" | "frozen";

/**
 * Tuned networks on three thirds of the photographs that are held out in turn, with three seeds: what the model says of a third that it
 * never saw, next to the same recipe on the network as it was imported, on the same thirds.
 */
export async function benchTuned(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const pairs: Pair[] = [];
  const classes = await photographs(material.pictures);
  for (const seed of seeds)
    for (const third of thirds) {
      const id = `tuned-${seed}-${third}`;
      const list = path.join(store, `${id}.txt`);
      await writeFile(list, keysOfThird(classes, seed, third).join("\n"));
      const start = performance.now();
      await trommel(
        ...["train", material.pictures, "--run", id, "--store", store, "--backbone", material.backbone],
        ...["--tune", "--set", `split.test={keys: ${JSON.stringify(list)}}`],
        ...[...settings, `seed=${seed}`].flatMap((field) => ["--set", field]),
        ...["--workers", String(setting.threads), "--threads", "1"],
      );
      const minutes = (performance.now() - start) / 60_000;
      const [tuned, frozen] = [await measureRun(store, id), await measureRun(store, `${id}-untuned`)];
      pairs.push({ seed, third, minutes, tuned, frozen });
      setting.say(
        `tuned: seed ${seed}, third ${third}: ${figuresOf([tuned])}, frozen ${figuresOf([frozen])}`,
      );
    }
  return {
    rows: [...seeds.map((seed) => rowOf(seed, pairs)), ...pooledRows(pairs)],
    measured: pairs.map(({ tuned, frozen, ...rest }) => ({
      ...rest,
      images: tuned.images,
      tuned: { accuracy: accuracyOf([tuned]), logLoss: tuned.logLoss },
      frozen: { accuracy: accuracyOf([frozen]), logLoss: frozen.logLoss },
    })),
  };
}

/** The keys of the photographs of each class: the class, and their file in it. */
async function photographs(folder: string): Promise<string[][]> {
  const keys: string[][] = [];
  for (const label of await readdir(folder))
    keys.push((await readdir(path.join(folder, label))).map((file) => `${label}/${file}`));
  return keys;
}

/** A third of each class, in an order that the seed draws. */
function keysOfThird(classes: readonly (readonly string[])[], seed: number, third: number): string[] {
  const placeOf = (key: string): string => sha256Hex(Buffer.from(`${seed}/${key}`));
  return classes.flatMap((keys) =>
    keys
      .toSorted((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1))
      .filter((_, at) => at % thirds.length === third),
  );
}

async function measureRun(folder: string, id: string): Promise<Measured> {
  const store = openStore(path.resolve(folder));
  const context = stageContext(store);
  try {
    const config = await readRunConfig(store, id);
    const { choice, ensemble } = await readChoice(store, id);
    if (choice.test === null) throw new Error(`${id} has no test part`);
    const { keys, hits } = await predictTest(config, ensemble, context);
    const { images, logLoss } = choice.test;
    return { images, logLoss, hits: new Map(keys.map((key, at) => [key, hits[at] as number])) };
  } finally {
    store.close();
  }
}

const accuracyOf = (of: readonly Measured[]): number => {
  const hits = of.flatMap(({ hits }) => [...hits.values()]);
  return hits.reduce((sum, hit) => sum + hit, 0) / hits.length;
};

const logLossOf = (of: readonly Measured[]): number =>
  of.reduce((sum, { images, logLoss }) => sum + images * logLoss.value, 0) /
  of.reduce((sum, { images }) => sum + images, 0);

function figuresOf(of: readonly Measured[]): string {
  return `${accuracyOf(of).toFixed(4)} and ${logLossOf(of).toFixed(4)}`;
}

function rowOf(seed: number, pairs: readonly Pair[]): BenchRow {
  const own = pairs.filter((pair) => pair.seed === seed);
  const minutes = own.map((pair) => pair.minutes.toFixed(1)).join(", ");
  return {
    what: `tuned: seed ${seed}: accuracy and log loss of held-out thirds (anchor: frozen); minutes of each third ${minutes}`,
    value: figuresOf(own.map(({ tuned }) => tuned)),
    anchor: figuresOf(own.map(({ frozen }) => frozen)),
  };
}

function pooledRows(pairs: readonly Pair[]): BenchRow[] {
  const all = (side: Side): Measured[] => pairs.map((pair) => pair[side]);
  const [accuracy, frozenAccuracy] = [accuracyOf(all("tuned")), accuracyOf(all("frozen"))];
  const [loss, frozenLoss] = [logLossOf(all("tuned")), logLossOf(all("frozen"))];
  const ratio = loss / frozenLoss;
  // The seeds divide the same photographs: each photograph has one vote, by what more of the seeds have got right.
  const gains = new Map<string, number>();
  for (const [side, sign] of [
    ["tuned", 1],
    ["frozen", -1],
  ] as const)
    for (const { hits } of all(side))
      for (const [key, hit] of hits) gains.set(key, (gains.get(key) ?? 0) + sign * hit);
  const gained = [...gains.values()].filter((gain) => gain > 0).length;
  const lost = [...gains.values()].filter((gain) => gain < 0).length;
  const { pValue } = mcnemar(gained, lost);
  return [
    {
      ...{
        what: "tuned: accuracy of all thirds and seeds (anchor: frozen)",
        target: `≥ ${toReach.accuracy}`,
      },
      ...{ value: accuracy.toFixed(4), anchor: frozenAccuracy.toFixed(4) },
      reached: accuracy >= toReach.accuracy,
    },
    {
      ...{ what: "tuned: log loss of all thirds and seeds (anchor: frozen)", target: `≤ ${toReach.logLoss}` },
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
