import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { SeededRandom, headRecipe, trainingRecipe } from "@trommel/common";
import type { RowSet } from "@trommel/gpu-worker/head/row-set";
import { trainHead } from "@trommel/gpu-worker/head/train-head";
import { z } from "zod";
import type { BenchResult, BenchRow, BenchSetting } from "./result.js";
import { showSpread, spreadOf } from "./statistics.js";

const [featureCount, classCount, trainRows, validationRows] = [300, 100, 8000, 2000];
const epochs = 100;
const seeds = [1, 2, 3, 4, 5];
/** How far a class's centre lies from the others beside the scatter within it: about one row in seven is told wrong. */
const separation = 0.25;

const head = headRecipe.parse({ type: "se" });
const training = trainingRecipe.parse({
  epochs,
  batchSize: 64,
  keep: "last",
  optimizer: { type: "adam", learningRate: 1e-3 },
  schedule: { type: "constant" },
});

interface Turn {
  readonly seconds: number;
  readonly accuracy: number;
}

const peerTurn = z.object({
  torch: z.string(),
  seconds: z.array(z.number()),
  accuracies: z.array(z.number()),
});

/**
 * A head's training, validation after each epoch included, beside the same in PyTorch, in alternating turns on the same
 * rows. PyTorch is measured with the bench's threads and with one, which is faster on some machines; the ratio is to the
 * faster.
 */
export async function benchHead(
  _material: undefined,
  _store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const rows = { train: drawRows(trainRows, 1), validation: drawRows(validationRows, 2) };
  await writeRows(setting.folder, rows);
  const threadCounts = [...new Set([1, setting.threads])];
  const own: Turn[] = [];
  const peers = new Map<number, Turn[]>();
  let missing: string | undefined;
  for (const seed of seeds) {
    own.push(await ownTurn(rows, seed, setting.threads));
    for (const threads of threadCounts) {
      const turn: Turn | string = missing ?? (await torchTurn(setting.folder, threads, seed));
      if (typeof turn === "string") missing = turn;
      else peers.set(threads, [...(peers.get(threads) ?? []), turn]);
    }
    setting.say(
      `seed ${seed}: ${[own, ...peers.values()].map((turns) => describe(turns.at(-1))).join(", ")}`,
    );
  }
  const what = `head: ${epochs} epochs of ${trainRows} × ${featureCount}, ${classCount} classes`;
  const results: BenchRow[] = [{ what: `${what}, s`, value: showSpread(secondsOf(own), 1) }];
  results.push({ what: "head: validation accuracy, five seeds", value: showSpread(accuracyOf(own), 4) });
  for (const [threads, turns] of peers) {
    const name = `head: PyTorch, ${threads} ${threads === 1 ? "thread" : "threads"}`;
    results.push({ what: `${name}, s`, value: showSpread(secondsOf(turns), 1) });
    results.push({ what: `${name}, validation accuracy`, value: showSpread(accuracyOf(turns), 4) });
  }
  results.push(ratioRow(own, [...peers.values()], missing));
  return { rows: results, measured: { own, torch: Object.fromEntries(peers), training } };
}

function ratioRow(
  own: readonly Turn[],
  peers: readonly (readonly Turn[])[],
  missing: string | undefined,
): BenchRow {
  const what = "head: times PyTorch's speed, of its faster threads";
  if (missing !== undefined) return { what, value: missing };
  const ratios = own.map(({ seconds }, turn) => {
    return Math.min(...peers.map((turns) => turns[turn]?.seconds ?? Number.NaN)) / seconds;
  });
  return { what, value: showSpread(spreadOf(ratios), 2), target: "≥ 3" };
}

async function ownTurn(
  { train, validation }: Readonly<Record<string, RowSet>>,
  seed: number,
  threads: number,
): Promise<Turn> {
  if (train === undefined || validation === undefined) throw new RangeError("no rows");
  const begin = performance.now();
  const { history } = await trainHead({ train, validation, classCount, head, training, seed, threads });
  const seconds = (performance.now() - begin) / 1000;
  return { seconds, accuracy: history.at(-1)?.validationAccuracy ?? Number.NaN };
}

/** @returns why not, where PyTorch is not installed */
async function torchTurn(folder: string, threads: number, seed: number): Promise<Turn | string> {
  const script = fileURLToPath(new URL("../../bench/peers/train_head.py", import.meta.url));
  const choice = [folder, threads, epochs, seed].map(String);
  const child = spawn("/usr/bin/python3", [script, ...choice], { stdio: ["ignore", "pipe", "pipe"] });
  const streams = { stdout: "", stderr: "" };
  child.stdout.on("data", (data: Buffer) => (streams.stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (streams.stderr += data.toString()));
  const failed = once(child, "error").then(([error]) => String(error));
  const closed = once(child, "close").then(([code]) => (code === 0 ? undefined : streams.stderr));
  const failure = await Promise.race([failed, closed]);
  if (failure !== undefined) {
    if (/ModuleNotFoundError|ENOENT/.test(failure)) return "PyTorch (python3-torch) is not installed";
    throw new Error(`train_head.py failed: ${failure}`);
  }
  const { seconds, accuracies } = peerTurn.parse(JSON.parse(streams.stdout));
  const total = seconds.reduce((sum, value) => sum + value, 0);
  return { seconds: total, accuracy: accuracies.at(-1) ?? Number.NaN };
}

/** Normal clouds around the same centres, each class as often as another. */
function drawRows(count: number, seed: number): RowSet {
  const centre = new SeededRandom(0);
  const centres = Float32Array.from(
    { length: classCount * featureCount },
    () => separation * centre.normal(),
  );
  const random = new SeededRandom(seed);
  const labels = Int32Array.from({ length: count }, (_, row) => row % classCount);
  const features = new Float32Array(count * featureCount);
  for (const i of features.keys()) {
    const label = labels[Math.floor(i / featureCount)] ?? 0;
    features[i] = (centres[label * featureCount + (i % featureCount)] ?? 0) + random.normal();
  }
  return { features, labels };
}

async function writeRows(folder: string, sets: Readonly<Record<string, RowSet>>): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, { features, labels }] of Object.entries(sets)) {
    await writeFile(path.join(folder, `${name}.f32`), features);
    await writeFile(path.join(folder, `${name}.i32`), labels);
  }
  if (head.type !== "se" || training.optimizer.type !== "adam") throw new RangeError("another head");
  const { learningRate, epsilon } = training.optimizer;
  const setting = {
    features: featureCount,
    classes: classCount,
    reduction: head.reduction,
    dropout: head.dropout,
    batchSize: training.batchSize,
    learningRate,
    epsilon,
  };
  await writeFile(path.join(folder, "setting.json"), JSON.stringify(setting));
}

const secondsOf = (turns: readonly Turn[]) => spreadOf(turns.map(({ seconds }) => seconds));
const accuracyOf = (turns: readonly Turn[]) => spreadOf(turns.map(({ accuracy }) => accuracy));

function describe(turn: Turn | undefined): string {
  return turn === undefined ? "" : `${turn.seconds.toFixed(1)} s, accuracy ${turn.accuracy.toFixed(4)}`;
}
