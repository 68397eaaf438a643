import { execFile } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { openStore, resolveLocation } from "@trommel/common";
import { readRoundFigures, type RoundFigures } from "@trommel/common/artefacts";
import { drawDataset, writeFiles } from "../../support/images/dataset.js";
import type { RoundsAlone, RoundsMeasured } from "../alone/rounds-alone.js";
import { trommel } from "../material/trommel-command.js";
import type { BenchResult, BenchRow, BenchSetting } from "../result.js";

/** Variants of `huawei-40` that tune, with what their backbones are made of. */
const variants: readonly (readonly [
  variant: string,
  architecture: string,
  side: number,
  ...flags: string[],
])[] = [
  ["resnet50", "resnet50", 224, "--normalize", "torch", "--channels", "rgb"],
  ["se-resnet50", "resnet50", 224, "--normalize", "torch", "--channels", "rgb"],
  ["xception", "xception", 299],
  ["se-xception", "xception", 299],
  ["efficientnet-b5", "efficientnet-b5", 456],
];
const rounds = 2;
/** Per class. With 0.15 of them tested on and two folds, five images tune: two batches, one of each round. */
const images = 6;

/** Two rounds of one step on two images for each variant of `huawei-40` that tunes: whole runs at full size, with random weights. */
export async function benchHuawei(
  _material: undefined,
  store: string,
  { folder, threads, say }: BenchSetting,
): Promise<BenchResult> {
  const pictures = path.join(folder, "pictures");
  await writeFiles(pictures, await drawDataset(["zinc", "amber"], { to: images }));
  const rows: BenchRow[] = [];
  const measured: Record<string, unknown> = {};
  const made = new Set<string>();
  for (const [variant, architecture, side, ...flags] of variants) {
    const start = Date.now();
    if (!made.has(architecture))
      await trommel(
        ...["backbone", "random", "--arch", architecture, "--size", String(side), ...flags],
        ...["--store", store],
      );
    made.add(architecture);
    const run = `bench-huawei-${variant}`;
    await trommel(
      ...["train", pictures, "--recipe", `huawei-40:${variant}`, "--run", run, "--store", store],
      ...["--workers", "1", "--threads", String(threads), ...settings.flatMap((set) => ["--set", set])],
    );
    const seconds = (Date.now() - start) / 1000;
    const figures = await figuresOf(store, run);
    const alone = await stepsAlone({ store, run, rounds, threads });
    if (figures.length !== rounds || alone.losses.some((loss, at) => loss !== figures[at]?.training.loss))
      throw new Error(`${variant}: the rounds were other ones: ${JSON.stringify({ figures, alone })}`);
    const value = describe(figures, alone, seconds);
    say(`${variant}: ${value}`);
    rows.push({ what: `huawei: ${variant} at ${side}, two rounds of a step on two images`, value });
    measured[variant] = { figures, alone, seconds };
  }
  return { rows, measured };
}

const settings = [
  "labels.source.type=folders",
  ...["head.folds=2", "head.learningCurve=false"],
  ...["tune.batchSize=2", "tune.localSteps=1", "tune.epochs=1", "tune.schedule.warmupEpochs=0"],
];

async function figuresOf(folder: string, run: string): Promise<RoundFigures[]> {
  const store = openStore(resolveLocation(folder));
  try {
    return await readRoundFigures(store, run);
  } finally {
    store.close();
  }
}

const execute = promisify(execFile);
const alone = fileURLToPath(new URL("../alone/rounds-alone.js", import.meta.url));

async function stepsAlone(options: RoundsAlone): Promise<RoundsMeasured> {
  const { stdout } = await execute(process.execPath, [alone, JSON.stringify(options)]);
  return JSON.parse(stdout) as RoundsMeasured;
}

function describe(figures: readonly RoundFigures[], found: RoundsMeasured, seconds: number): string {
  const list = (values: readonly (number | undefined)[], digits: number): string =>
    values.map((value) => value?.toFixed(digits) ?? "none").join(", ");
  return [
    `${list(found.stepSeconds, 1)} s a step`,
    `${found.peakMib.toFixed(0)} MiB`,
    `training loss ${list(
      figures.map(({ training }) => training.loss),
      4,
    )}`,
    `held-out loss ${list(
      figures.map(({ heldOut }) => heldOut?.loss),
      4,
    )}`,
    `${seconds.toFixed(0)} s for the run`,
  ].join("; ");
}
