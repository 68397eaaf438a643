import path from "node:path";
import type { Choice } from "@trommel/common/artefacts";
import { autoHeadOf, candidatesOf } from "@trommel/common/recipe";
import { openStore, resolveLocation } from "@trommel/common";
import { z } from "zod";
import { comparisonRow } from "../../compare/comparison-row.js";
import { runPeer, type Missing } from "../../compare/peer.js";
import { exportRows } from "../../learn/export-rows.js";
import { trainWithSeeds } from "../../learn/side-by-side.js";
import { readConfig } from "../../learn/stored-run.js";
import type { SeedFigures } from "../../learn/train-with-seed.js";
import {
  foldSeconds,
  readRunChoice,
  settings,
  trainSetting,
  type SettingName,
} from "../../learn/trained-run.js";
import type { Material } from "../../material/material.js";
import { showSpread, spreadOf } from "../../measure/statistics.js";
import type { BenchResult, BenchRow, BenchSetting } from "../../result.js";

/** What the default has to reach on the photographs with both shared backbones, out of fold. */
const toReach: Readonly<Record<SettingName, { readonly accuracy: number; readonly logLoss: number }>> = {
  "224 pixels, six views": { accuracy: 0.905, logLoss: 0.285 },
  "320 pixels, flips": { accuracy: 0.92, logLoss: 0.245 },
};
/** Where scikit-learn and PyTorch have the same folds. */
const besidePeers: SettingName = "224 pixels, six views";
const seeds = [1, 2, 3];

const figures = z.object({
  accuracy: z.number(),
  logLoss: z.number(),
  logLossAsIs: z.number(),
  calibrationError: z.number(),
});
type PeerFigures = z.infer<typeof figures>;
const scikit = z.object({
  sklearn: z.string(),
  regression: figures.extend({ seconds: z.number() }),
  perceptron: figures.extend({ seconds: z.number() }),
});
type Scikit = z.infer<typeof scikit>;
const torch = z.object({
  torch: z.string(),
  seconds: z.number(),
  candidates: z.array(figures.extend({ name: z.string() })),
});
type Torch = z.infer<typeof torch>;

/**
 * What `head: auto` reaches on the photographs out of fold, beside scikit-learn and PyTorch on the same features and folds, and
 * how long its folds take.
 */
export async function benchLearn(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const rows: BenchRow[] = [];
  const measured: Record<string, unknown> = {};
  for (const name of Object.keys(settings) as SettingName[]) {
    setting.say(`learn: ${name}`);
    const found = await measureSetting(name, { material, store, setting });
    rows.push(...found.rows);
    measured[name] = found.measured;
  }
  return { rows, measured };
}

interface Bench {
  readonly material: Material;
  readonly store: string;
  readonly setting: BenchSetting;
}

async function measureSetting(name: SettingName, bench: Bench): Promise<BenchResult> {
  const { material, store, setting } = bench;
  const run = await trainSetting(name, material, store, { workers: setting.threads });
  const choice = await readRunChoice(store, run);
  setting.say(`${name}: ${describe(choice)}`);
  const rows = ownRows(name, choice, material);
  if (name !== besidePeers) return { measured: { choice }, rows };
  const folder = path.join(setting.folder, run);
  await exportRows(store, run, folder);
  const own = await ownSeeds(run, bench);
  const times = await foldTimes(name, run, bench);
  const byTorch = await torchHeads(folder, setting);
  const byScikit = await scikitHeads(folder, setting);
  return {
    measured: { choice, byScikit, byTorch, own, times },
    rows: [
      ...rows,
      ...scikitRows(name, choice, byScikit),
      ...torchRows(name, own, byTorch),
      ...timeRows(times, byTorch, setting.threads),
    ],
  };
}

const describe = ({ outOfFold, chosenBy }: Choice): string =>
  `accuracy ${outOfFold.accuracy.value.toFixed(4)}, log loss ${outOfFold.logLoss.value.toFixed(4)}. ${chosenBy}`;

function scikitHeads(folder: string, { threads, say }: BenchSetting): Promise<Scikit | Missing> {
  say("scikit-learn on the same folds, which takes minutes");
  const modules = ["numpy", "scipy", "sklearn"];
  return runPeer(scikit, { script: "scikit_heads.py", args: [folder], modules, threads });
}

/** The three seeds by all threads and by one, which is faster on some machines: two of the one way and one of the other. */
async function torchHeads(
  folder: string,
  { threads, say }: BenchSetting,
): Promise<{ readonly threads: number; readonly result: Torch }[] | Missing> {
  const found: { threads: number; result: Torch }[] = [];
  for (const seed of seeds) {
    const own = [threads, 1][(seed - 1) % 2] ?? threads;
    say(`the same candidates in PyTorch on ${own} threads, seed ${seed}`);
    const args = [folder, String(own), String(seed)];
    const modules = ["numpy", "scipy", "torch"];
    const result = await runPeer(torch, { script: "torch_heads.py", args, modules, threads: own });
    if ("missing" in result) return result;
    found.push({ threads: own, result });
  }
  return found;
}

interface OwnSeeds {
  readonly candidate: string;
  readonly figures: readonly SeedFigures[];
}

/** The last candidate, which is trained by chance, from other seeds on the same folds. */
async function ownSeeds(run: string, { store, setting }: Bench): Promise<OwnSeeds | undefined> {
  const opened = openStore(resolveLocation(store));
  const tried = candidatesOf(autoHeadOf(await readConfig(opened, run)));
  opened.close();
  const candidate = tried.length - 1;
  const last = tried[candidate];
  if (last === undefined || last.training === null) return undefined;
  setting.say(`${last.name} from ${seeds.length} seeds`);
  const options = seeds.map((seed) => ({ folder: store, run, candidate, seed }));
  return { candidate: last.name, figures: await trainWithSeeds(options, setting.threads) };
}

interface FoldTimes {
  /** By as many workers of one thread as the bench has threads. */
  readonly together: number;
  readonly alone: number;
}

async function foldTimes(name: SettingName, run: string, bench: Bench): Promise<FoldTimes> {
  const { material, store, setting } = bench;
  setting.say("the same folds by one worker of one thread");
  const alone = await trainSetting(name, material, store, { workers: 1, id: `${run}-alone` });
  return { together: await foldSeconds(store, run), alone: await foldSeconds(store, alone) };
}

function ownRows(name: SettingName, { outOfFold }: Choice, { torchNetwork }: Material): BenchRow[] {
  const { accuracy, balancedAccuracy, macroF1, logLoss, expectedCalibrationError } = outOfFold;
  const isReal = torchNetwork !== null;
  const goal = toReach[name];
  const row = (what: string, { value, low, high }: Choice["outOfFold"]["accuracy"]): BenchRow => ({
    what: `learn: ${name}: ${what}, out of fold, and its 95 % interval`,
    value: `${value.toFixed(4)} (${low.toFixed(4)}–${high.toFixed(4)})`,
  });
  return [
    {
      ...row("accuracy", accuracy),
      ...(isReal && { target: `≥ ${goal.accuracy}`, reached: accuracy.value >= goal.accuracy }),
    },
    row("balanced accuracy", balancedAccuracy),
    row("macro F1", macroF1),
    {
      ...row("log loss", logLoss),
      ...(isReal && { target: `≤ ${goal.logLoss}`, reached: logLoss.value <= goal.logLoss }),
    },
    row("calibration error", expectedCalibrationError),
  ];
}

/** Ours over theirs: theirs at a cross-fitted temperature, as ours, or as they are, whichever is better. */
function scikitRows(name: SettingName, { outOfFold }: Choice, peer: Scikit | Missing): BenchRow[] {
  const what = `learn: ${name}: log loss beside scikit-learn's`;
  const own = outOfFold.logLoss.value;
  if ("missing" in peer) return [{ what, value: own.toFixed(4), anchor: `not installed: ${peer.missing}` }];
  const bestOf = (of: PeerFigures): number => Math.min(of.logLoss, of.logLossAsIs);
  const best = Math.min(bestOf(peer.regression), bestOf(peer.perceptron));
  return [
    ["logistic regression, C by cross-validation", peer.regression] as const,
    ["perceptron, chosen inside each fold", peer.perceptron] as const,
  ]
    .map(([method, of]): BenchRow => ({
      what: `${what} ${method} (accuracy ${of.accuracy.toFixed(4)}, calibration error ${of.calibrationError.toFixed(4)})`,
      value: own.toFixed(4),
      anchor: `${of.logLoss.toFixed(4)} (as it is ${of.logLossAsIs.toFixed(4)})`,
      ratio: (own / bestOf(of)).toFixed(3),
    }))
    .concat({
      what: `${what} best`,
      value: own.toFixed(4),
      anchor: best.toFixed(4),
      ratio: (own / best).toFixed(3),
      target: "≤ 0.9",
      reached: own / best <= 0.9,
    });
}

/** Equal within the spread of the seeds: the two ranges meet. */
function torchRows(
  name: SettingName,
  own: OwnSeeds | undefined,
  peer: readonly { readonly result: Torch }[] | Missing,
): BenchRow[] {
  if (own === undefined) return [];
  return (["accuracy", "logLoss"] as const).map((figure) => {
    const ours = spreadOf(own.figures.map((of) => of[figure]));
    const words = figure === "logLoss" ? "log loss" : figure;
    const row = {
      what: `learn: ${name}: ${own.candidate}, ${words} of ${own.figures.length} seeds (anchor: PyTorch)`,
      value: showSpread(ours, 4),
    };
    if ("missing" in peer) return { ...row, anchor: `not installed: ${peer.missing}` };
    const theirs = spreadOf(
      peer.flatMap(({ result }) =>
        result.candidates.filter((of) => of.name === own.candidate).map((of) => of[figure]),
      ),
    );
    const meet = ours.least <= theirs.most && theirs.least <= ours.most;
    return { ...row, anchor: showSpread(theirs, 4), target: "ranges meet", reached: meet };
  });
}

function timeRows(
  { together, alone }: FoldTimes,
  peer: readonly { readonly threads: number; readonly result: Torch }[] | Missing,
  threads: number,
): BenchRow[] {
  const fastest = "missing" in peer ? peer : [Math.min(...peer.map(({ result }) => result.seconds))];
  return [
    comparisonRow({
      what: `learn: all folds and candidates by ${threads} workers of one thread, s (anchor: PyTorch, its faster way)`,
      ...{ own: [together], anchor: fastest, ratio: "anchor/own", atLeast: 1.2 },
    }),
    comparisonRow({
      what: `learn: the same, s (anchor: one worker of one thread)`,
      ...{ own: [together], anchor: [alone], ratio: "anchor/own", ...(threads === 2 && { atLeast: 1.7 }) },
    }),
  ];
}
