import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { SeededRandom, headRecipe, trainingRecipe } from "@trommel/common";
import type { RowSet } from "#gpu-worker/head/model/row-set";
import { trainHead } from "#gpu-worker/head/train-head";
import { z } from "zod";
import { comparisonRow } from "../compare/comparison-row.js";
import { runPeer, type Missing } from "../compare/peer.js";
import type { BenchResult, BenchRow, BenchSetting } from "../result.js";
import { spreadOf } from "../measure/statistics.js";

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
 * rows. PyTorch is measured with the bench's threads and with one, which is faster on some machines.
 */
export async function benchHead(
  _material: undefined,
  _store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const rows = { train: drawRows(trainRows, 1), validation: drawRows(validationRows, 2) };
  await writeRows(setting.folder, rows);
  const own: Turn[] = [];
  const peers = new Map<number, Turn[] | Missing>([setting.threads, 1].map((threads) => [threads, []]));
  for (const seed of seeds) {
    own.push(await ownTurn(rows, seed, setting.threads));
    setting.say(`seed ${seed}: ${describe(own.at(-1))}`);
    for (const [threads, turns] of peers) {
      if ("missing" in turns) continue;
      const turn = await torchTurn(setting.folder, threads, seed);
      if ("missing" in turn) peers.set(threads, turn);
      else turns.push(turn);
      setting.say(`seed ${seed}, PyTorch on ${threads}: ${"missing" in turn ? "absent" : describe(turn)}`);
    }
  }
  return { rows: [...peers].flatMap(([threads, turns]) => rowsOf(own, threads, turns)), measured: training };
}

function rowsOf(own: readonly Turn[], threads: number, peer: readonly Turn[] | Missing): BenchRow[] {
  const pick = (of: (turn: Turn) => number) => ({
    own: own.map(of),
    anchor: "missing" in peer ? peer : peer.map(of),
  });
  const beside = `PyTorch on ${threads} ${threads === 1 ? "thread" : "threads"}`;
  const seconds = pick((turn) => turn.seconds);
  const accuracy = pick((turn) => turn.accuracy);
  const figure = {
    what: `head: ${epochs} epochs, s, beside ${beside}`,
    ratio: "anchor/own",
    atLeast: 3,
  } as const;
  const quality = comparisonRow({ what: "head: validation accuracy after them", digits: 4, ...accuracy });
  return [comparisonRow({ ...figure, ...seconds }), { ...quality, ...overlap(accuracy) }];
}

function overlap({ own, anchor }: { own: number[]; anchor: number[] | Missing }): Partial<BenchRow> {
  if ("missing" in anchor) return {};
  const [ours, theirs] = [spreadOf(own), spreadOf(anchor)];
  return { target: "spreads overlap", reached: ours.most >= theirs.least && ours.least <= theirs.most };
}

async function ownTurn(
  { train, validation }: Readonly<Record<"train" | "validation", RowSet>>,
  seed: number,
  threads: number,
): Promise<Turn> {
  const begin = performance.now();
  const { history } = await trainHead({ train, validation, classCount, head, training, seed, threads });
  const seconds = (performance.now() - begin) / 1000;
  return { seconds, accuracy: history.at(-1)?.validationAccuracy ?? Number.NaN };
}

async function torchTurn(folder: string, threads: number, seed: number): Promise<Turn | Missing> {
  const args = [folder, threads, epochs, seed].map(String);
  const found = await runPeer(peerTurn, {
    script: "train_head.py",
    args,
    modules: ["torch", "numpy"],
    threads,
  });
  if ("missing" in found) return found;
  const seconds = found.seconds.reduce((sum, value) => sum + value, 0);
  return { seconds, accuracy: found.accuracies.at(-1) ?? Number.NaN };
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

function describe(turn: Turn | undefined): string {
  return turn === undefined ? "" : `${turn.seconds.toFixed(1)} s, accuracy ${turn.accuracy.toFixed(4)}`;
}
