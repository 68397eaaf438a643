import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { comparisonRow } from "../compare/comparison-row.js";
import { embeddingLikeRows } from "../material/embedding-like-rows.js";
import { writeNpy } from "../material/npy-file.js";
import { runPeer, type Missing } from "../compare/peer.js";
import type { BenchResult, BenchRow, BenchSetting } from "../result.js";
import type { SolveMeasurement, SolveOptions } from "../alone/solve-alone.js";

const rowCount = 15_000;
/** The width of three EfficientNets, B2, B3 and B4, side by side. */
const dimension = 4736;
const recipe = { energy: 0.9, step: 100 };
const repetitions = 3;
const ourBasis = "own.npy";

/** In the order of a turn. */
const peers = [
  { name: "numpy eigh of the float64 Gram", args: ["eigh", "float64"], atLeast: 3 },
  { name: "numpy eigh of the float32 Gram", args: ["eigh", "float32"], atLeast: 3 },
  { name: "numpy.linalg.svd", args: ["svd"], atLeast: 20 },
] as const;

const solved = z.object({
  seconds: z.number(),
  cpuSeconds: z.number(),
  components: z.number(),
  energyKept: z.number(),
});
const compared = z.object({ angle: z.number(), ownEnergy: z.number(), otherEnergy: z.number() });

/**
 * From embeddings in memory to the basis that keeps 90 % of their energy, with the Gram matrix that a run sums: 15,000 × 4,736
 * float32 with a spectrum like that of embeddings, against numpy on as many threads. Every measurement is a process of its own.
 */
export async function benchSolve(
  _material: undefined,
  _store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  await mkdir(setting.folder, { recursive: true });
  const rows = path.join(setting.folder, "rows.npy");
  setting.say(`solve: drawing ${rowCount} rows of ${dimension}`);
  const data = embeddingLikeRows(rowCount, dimension, 1);
  await writeNpy(rows, { rows: rowCount, columns: dimension, data });
  try {
    return await compareTurns(setting, rows);
  } finally {
    await rm(setting.folder, { recursive: true, force: true });
  }
}

async function compareTurns(setting: BenchSetting, rows: string): Promise<BenchResult> {
  const own: SolveMeasurement[] = [];
  const others: (z.infer<typeof solved> | Missing)[][] = peers.map(() => []);
  for (let turn = 0; turn < repetitions; turn += 1) {
    setting.say(`solve: turn ${turn + 1} of ${repetitions}`);
    own.push(
      await solveAlone({ rows, basis: basisFile(setting, ourBasis), ...recipe, threads: setting.threads }),
    );
    for (const [at, { name, args }] of peers.entries()) {
      setting.say(`solve: ${name}`);
      others[at]?.push(await solvePeer(setting, rows, args));
    }
  }
  const first = own[0];
  if (first === undefined) throw new RangeError("no turn");
  const results: BenchRow[] = [
    { what: "components", value: String(first.components) },
    comparisonRow({ what: "of it the Gram, s", own: own.map(({ gramSeconds }) => gramSeconds) }),
    comparisonRow({
      what: "peak memory of the process, MiB",
      own: own.map(({ peakMiB }) => peakMiB),
      digits: 0,
    }),
  ];
  const agreements: unknown[] = [];
  for (const [at, peer] of peers.entries()) {
    const { row, agreement } = await againstPeer(setting, rows, own, others[at] ?? [], peer);
    results.push(...row);
    agreements.push(agreement);
  }
  return {
    rows: results,
    measured: { own, peers: peers.map(({ name }, at) => ({ name, turns: others[at] })), agreements },
  };
}

async function againstPeer(
  setting: BenchSetting,
  rows: string,
  own: readonly SolveMeasurement[],
  turns: readonly (z.infer<typeof solved> | Missing)[],
  { name, args, atLeast }: (typeof peers)[number],
): Promise<{ row: BenchRow[]; agreement: unknown }> {
  const what = `rows to basis, s, beside ${name}`;
  const missing = turns.find((turn) => "missing" in turn);
  const ownSeconds = own.map(({ seconds }) => seconds);
  if (missing !== undefined) {
    return { row: [comparisonRow({ what, own: ownSeconds, anchor: missing })], agreement: missing };
  }
  const theirs = turns as readonly z.infer<typeof solved>[];
  const anchor = theirs.map(({ seconds }) => seconds);
  const agreement = await runPeer(compared, {
    script: "solve.py",
    args: ["compare", rows, basisFile(setting, ourBasis), basisFile(setting, `${args.join("-")}.npy`)],
    modules: ["numpy"],
    threads: setting.threads,
  });
  if ("missing" in agreement) throw new RangeError(`numpy is gone: ${agreement.missing}`);
  const { angle, ownEnergy, otherEnergy } = agreement;
  const energies = Math.max(
    Math.abs(ownEnergy - otherEnergy),
    Math.abs((own[0]?.energyKept ?? 0) - (theirs[0]?.energyKept ?? 0)),
  );
  return {
    row: [
      comparisonRow({ what, own: ownSeconds, anchor, ratio: "anchor/own", atLeast, digits: 2 }),
      smallRow(`largest principal angle to ${name}`, angle, 1e-3),
      smallRow(`kept energy less that of ${name}`, energies, 1e-5),
    ],
    agreement: { ...agreement, peer: name },
  };
}

function smallRow(what: string, value: number, below: number): BenchRow {
  return {
    what,
    value: value.toExponential(1),
    target: `< ${below.toExponential()}`,
    reached: value < below,
  };
}

function basisFile({ folder }: BenchSetting, name: string): string {
  return path.join(folder, name);
}

function solvePeer(
  setting: BenchSetting,
  rows: string,
  [method, ...precision]: readonly string[],
): Promise<z.infer<typeof solved> | Missing> {
  const output = basisFile(setting, `${[method, ...precision].join("-")}.npy`);
  return runPeer(solved, {
    script: "solve.py",
    args: [method ?? "", rows, String(recipe.energy), String(recipe.step), output, ...precision],
    modules: ["numpy"],
    threads: setting.threads,
  });
}

async function solveAlone(options: SolveOptions): Promise<SolveMeasurement> {
  const entry = fileURLToPath(new URL("../alone/solve-alone.js", import.meta.url));
  const child = fork(entry, [JSON.stringify(options)]);
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`the process that solves ended with ${String(code)} and no measurement`);
  });
  const [measurement] = (await Promise.race([once(child, "message"), ended])) as [SolveMeasurement];
  await ended.catch(() => undefined);
  return measurement;
}
