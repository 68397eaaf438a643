import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { outputKeys, runConfig, runKeys } from "@trommel/common";
import { parseSealedAs } from "#common/codec/sealed-json";
import { z } from "zod";
import { comparisonRow } from "../compare/comparison-row.js";
import type { Material } from "../material/material.js";
import { runPeer, type Missing } from "../compare/peer.js";
import type { BenchResult, BenchRow, BenchSetting } from "../result.js";
import { trommel } from "../material/trommel-command.js";

const run = "bench-run";
const workers = 2;

const trained = z.object({ accuracy: z.number(), macroF1: z.number(), logLoss: z.number() });

const peerResult = z.object({
  ...trained.shape,
  components: z.int(),
  seconds: z.number(),
  stages: z.record(z.string(), z.number()),
});
type PeerResult = z.infer<typeof peerResult>;

/**
 * The main job as a person types it, by the command line: training `tianchi-efficientnets` with the run's backbones, then
 * scoring. Beside it a script that does the same training with PyTorch and numpy.
 */
export async function benchRun(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const scores = path.join(setting.folder, "scores");
  const cluster = ["--workers", String(workers), "--store", store];
  const backbones = material.runBackbones.flatMap((name) => ["--backbone", name]);

  const trainStart = Date.now();
  const recipe = ["--recipe", "tianchi-efficientnets"];
  const printed = await trommel(
    ...["train", material.pictures, ...recipe, ...backbones, "--run", run],
    ...cluster,
  );
  const trainEnd = Date.now();
  const { accuracy, macroF1, logLoss } = trained.parse(printed);
  setting.say(`trained in ${seconds(trainEnd - trainStart)} s, accuracy ${accuracy.toFixed(4)}`);
  await trommel("score", material.pictures, "--model", run, "--output", scores, ...cluster);
  const scoreEnd = Date.now();

  const peer = await runInPython(material, store, setting);
  const stages = [
    ...stageTimes(trainStart, await trainMoments(store)),
    ...stageTimes(trainEnd, await scoreMoments(scores)),
  ];
  return {
    measured: { stages, accuracy, macroF1, logLoss, trainMs: trainEnd - trainStart, peer },
    rows: [
      comparisonRow({
        what: "run: the command train, whole, s (anchor: PyTorch, numpy)",
        own: [(trainEnd - trainStart) / 1000],
        anchor: anchorOf(peer, (result) => result.seconds),
        ratio: "anchor/own",
      }),
      ...stages.map(({ stage, spentMs }) => ({
        what: `run: ${stage}, s`,
        value: seconds(spentMs),
        ...stageOfPeer(peer, stage),
      })),
      comparisonRow({ what: "run: the command score, whole, s", own: [(scoreEnd - trainEnd) / 1000] }),
      ...quality(),
    ],
  };

  function quality(): BenchRow[] {
    const row = (what: string, own: number, pick: (result: PeerResult) => number): BenchRow => ({
      what: `run: validation ${what} (anchor: on a split of its own)`,
      value: own.toFixed(4),
      anchor: "missing" in peer ? peer.missing : pick(peer).toFixed(4),
    });
    const reached = { target: "≥ 0.87", reached: accuracy >= 0.87 };
    return [
      { ...row("accuracy", accuracy, (result) => result.accuracy), ...reached },
      row("macro F1", macroF1, (result) => result.macroF1),
      row("log loss", logLoss, (result) => result.logLoss),
    ];
  }
}

/** Its networks are read from the layers that ours were imported from, so they compute the same. */
async function runInPython(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<PeerResult | Missing> {
  if (!material.runBackbones.every((name) => name.startsWith("mobilenet-"))) {
    return { missing: "the shared backbones, which are all that the script can read" };
  }
  const folders = await readdir(path.join(store, "backbones"));
  const layersOf = (name: string): string => {
    const folder = folders.find((id) => id.startsWith(`${name}@`));
    return path.join(store, "backbones", folder ?? name, "layers");
  };
  setting.say("run: the same in PyTorch, which takes minutes");
  return await runPeer(peerResult, {
    script: "run.py",
    args: [material.pictures, ...material.runBackbones.map(layersOf)],
    modules: ["torch", "torchvision", "numpy", "PIL", "sklearn"],
    threads: setting.threads,
  });
}

const anchorOf = (peer: PeerResult | Missing, pick: (result: PeerResult) => number): number[] | Missing =>
  "missing" in peer ? peer : [pick(peer)];

/** Stages that the script has too, by the same name. */
function stageOfPeer(peer: PeerResult | Missing, stage: string): Pick<BenchRow, "anchor"> {
  const spent = "missing" in peer ? undefined : peer.stages[stage];
  return spent === undefined ? {} : { anchor: spent.toFixed(1) };
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
