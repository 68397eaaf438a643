import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { outputKeys, runConfig, runKeys } from "@trommel/common";
import { parseSealedAs } from "@trommel/common/codec/sealed-json";
import { z } from "zod";
import type { Material } from "./material.js";
import type { BenchResult, BenchRow, BenchSetting } from "./result.js";
import { trommel } from "./trommel-command.js";

const run = "bench-run";
const workers = 2;

const trained = z.object({ accuracy: z.number(), macroF1: z.number(), logLoss: z.number() });

/** The main job as a person types it, by the command line: training with the run's backbones, then scoring. */
export async function benchRun(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const scores = path.join(setting.folder, "scores");
  const cluster = ["--workers", String(workers), "--store", store];
  const backbones = material.runBackbones.flatMap((name) => ["--backbone", name]);

  const trainStart = Date.now();
  const printed = await trommel("train", material.pictures, ...backbones, "--run", run, ...cluster);
  const trainEnd = Date.now();
  const { accuracy, macroF1, logLoss } = trained.parse(printed);
  setting.say(`trained in ${seconds(trainEnd - trainStart)} s, accuracy ${accuracy.toFixed(4)}`);
  await trommel("score", material.pictures, "--model", run, "--output", scores, ...cluster);
  const scoreEnd = Date.now();

  const stages = [
    ...stageTimes(trainStart, await trainMoments(store)),
    ...stageTimes(trainEnd, await scoreMoments(scores)),
  ];
  return {
    measured: { stages, accuracy, macroF1, logLoss, trainMs: trainEnd - trainStart },
    rows: [
      ...stages.map(({ stage, spentMs }) => ({ what: `run: ${stage}, s`, value: seconds(spentMs) })),
      { what: "run: the command train, whole, s", value: seconds(trainEnd - trainStart), target: "< 480" },
      { what: "run: the command score, whole, s", value: seconds(scoreEnd - trainEnd) },
      ...quality(),
    ],
  };

  function quality(): BenchRow[] {
    return [
      { what: "run: validation accuracy", value: accuracy.toFixed(4), target: ">= 0.87" },
      { what: "run: validation macro F1", value: macroF1.toFixed(4) },
      { what: "run: validation log loss", value: logLoss.toFixed(4) },
    ];
  }
}

const seconds = (ms: number): string => (ms / 1000).toFixed(1);

/** When the last artefact of a stage was written; stages in the order of the flow. */
interface Moment {
  readonly stage: string;
  readonly atMs: number;
}

/** Each stage takes from the last artefact of the one before to its own last one. */
function stageTimes(startMs: number, moments: readonly Moment[]): { stage: string; spentMs: number }[] {
  return moments.map(({ stage, atMs }, index) => ({
    stage,
    spentMs: atMs - (moments[index - 1]?.atMs ?? startMs),
  }));
}

/** The file store's own times; nothing rewrites an artefact. */
async function trainMoments(store: string): Promise<Moment[]> {
  const keys = runKeys(run);
  const config = parseSealedAs(runConfig, await readFile(path.join(store, keys.config)), keys.config);
  const file = (key: string): string => path.join(store, key);
  return [
    { stage: "start of the cluster and list", atMs: await writtenAt(file(keys.listing)) },
    { stage: "extract", atMs: await lastWritten(file(`features/${config.fingerprint}`)) },
    { stage: "gram", atMs: await lastWritten(file(path.dirname(keys.gram(0)))) },
    { stage: "solve", atMs: await writtenAt(file(keys.projection)) },
    { stage: "train", atMs: await lastWritten(file(path.dirname(keys.head))) },
    { stage: "bundle", atMs: await lastWritten(file(keys.bundle)) },
  ];
}

async function scoreMoments(output: string): Promise<Moment[]> {
  const isPart = (name: string): boolean => name.startsWith("part-");
  return [
    { stage: "start of the cluster and score", atMs: await lastWritten(output, isPart) },
    { stage: "close", atMs: await writtenAt(path.join(output, outputKeys.success)) },
  ];
}

async function lastWritten(folder: string, counts: (name: string) => boolean = () => true): Promise<number> {
  const names = (await readdir(folder)).filter(counts);
  return Math.max(...(await Promise.all(names.map(async (name) => writtenAt(path.join(folder, name))))));
}

async function writtenAt(file: string): Promise<number> {
  return (await stat(file)).mtimeMs;
}
