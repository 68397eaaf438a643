/**
 * `npm run bench`: what the project promises in numbers, each beside an anchor that was measured in the same run where there is one.
 * `npm run bench -- queue listing` runs some; `--json` prints one object for machines in the place of the table,
 * `--json FILE` writes it beside. Everything lies in .trommel/bench, which is emptied first.
 */
import { mkdir, open, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf, TrommelError } from "@trommel/common";
import { parseArguments, type BenchArguments } from "./bench-arguments.js";
import { describeEnvironment } from "./measure/environment.js";
import { benchDelta } from "./benches/scored/delta-bench.js";
import { benchExtract } from "./benches/extract-bench.js";
import { benchFairness } from "./benches/fairness-bench.js";
import { benchHead } from "./benches/head-bench.js";
import { benchChance, benchHonesty } from "./benches/learned/honesty-bench.js";
import { benchLearn } from "./benches/learned/learn-bench.js";
import { benchHuawei } from "./benches/huawei-bench.js";
import { benchListing } from "./benches/listing-bench.js";
import { benchGpu } from "./benches/gpu-bench.js";
import { benchMemory } from "./benches/memory-bench.js";
import { benchNovelty } from "./benches/learned/novelty-bench.js";
import { benchQueue } from "./benches/queue-bench.js";
import { benchRecipes } from "./benches/recipes-bench.js";
import { benchRescore } from "./benches/scored/rescore-bench.js";
import { benchReuse } from "./benches/reuse-bench.js";
import { benchRun } from "./benches/run-bench.js";
import { benchScore } from "./benches/scored/score-bench.js";
import { benchReplicas } from "./benches/learned/replicas-bench.js";
import { benchRounds } from "./benches/learned/rounds-bench.js";
import { benchServing } from "./benches/learned/serving-bench.js";
import { benchSolve } from "./benches/solve-bench.js";
import { benchSources } from "./benches/scored/sources-bench.js";
import { benchTuned } from "./benches/learned/tuned-bench.js";
import { benchTune } from "./benches/tune-bench.js";
import { benchTianchi } from "./benches/tianchi-bench.js";
import { prepareMaterial, type Material } from "./material/material.js";
import type { Bench, BenchResult } from "./result.js";
import { formatTable, type TableRow } from "./table.js";

const benches: Readonly<Record<string, Bench>> = {
  chance: { material: true, measure: benchChance },
  delta: { material: false, measure: benchDelta },
  extract: { material: true, measure: benchExtract },
  fairness: { material: false, measure: benchFairness },
  gpu: { material: true, measure: benchGpu },
  head: { material: false, measure: benchHead },
  honesty: { material: true, measure: benchHonesty },
  huawei: { material: false, measure: benchHuawei },
  learn: { material: true, measure: benchLearn },
  memory: { material: true, measure: benchMemory },
  novelty: { material: true, measure: benchNovelty },
  queue: { material: false, measure: benchQueue },
  listing: { material: false, measure: benchListing },
  run: { material: true, measure: benchRun },
  score: { material: true, measure: benchScore },
  reuse: { material: true, measure: benchReuse },
  replicas: { material: true, measure: benchReplicas },
  rounds: { material: true, measure: benchRounds },
  rescore: { material: true, measure: benchRescore },
  sources: { material: true, measure: benchSources },
  serving: { material: true, measure: benchServing },
  recipes: { material: true, measure: benchRecipes },
  solve: { material: false, measure: benchSolve },
  tune: { material: false, measure: benchTune },
  tuned: { material: true, measure: benchTuned },
  tianchi: { material: true, measure: benchTianchi },
};

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");
const folder = path.join(root, ".trommel/bench");
const store = path.join(folder, "store");

function say(words: string): void {
  process.stderr.write(`bench: ${words}\n`);
}

let prepared: Promise<Material> | undefined;

function material(): Promise<Material> {
  if (prepared === undefined) say("importing backbones");
  return (prepared ??= prepareMaterial(folder, store));
}

type Told = Pick<BenchArguments, "threads" | "gpu" | "repetitions" | "keys" | "rows">;

async function measure(name: string, bench: Bench, told: Told): Promise<BenchResult> {
  const setting = { folder: path.join(folder, name), ...told, say };
  if (!bench.material) {
    say(name);
    return await bench.measure(undefined, store, setting);
  }
  const own = await material();
  say(`${name}: ${own.description}`);
  return await bench.measure(own, store, setting);
}

/** One that fails has a row that says so; the others' rows are not lost. */
async function measureOrSayWhy(name: string, bench: Bench, told: Told): Promise<BenchResult> {
  try {
    return await measure(name, bench, told);
  } catch (thrown) {
    process.exitCode = 1;
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    say(`${name} failed: ${thrown instanceof TrommelError ? why : ((thrown as Error).stack ?? why)}`);
    return {
      rows: [{ what: "failed", value: why.split("\n")[0] ?? "", reached: false }],
      measured: { error: why },
    };
  }
}

/** Before an hour of measuring is spent. */
async function checkWritable(file: string): Promise<void> {
  try {
    await (await open(file, "a")).close();
  } catch (cause) {
    throw new TrommelError(
      "invalid-argument",
      `failed to write ${file}: ${messageOf(cause)}. Give --json a file that can be written`,
      { cause },
    );
  }
}

async function bench(): Promise<void> {
  const { names, json, ...told } = parseArguments(process.argv.slice(2), Object.keys(benches));
  if (process.platform !== "linux") {
    throw new TrommelError(
      "unsupported",
      `failed to measure on ${process.platform}: CPU time and memory are read from /proc. Run it on Linux`,
    );
  }
  if (typeof json === "object") await checkWritable(json.file);
  await rm(folder, { recursive: true, force: true });
  await mkdir(store, { recursive: true });
  const environment = await describeEnvironment(told.threads);
  const rows: TableRow[] = [];
  const measured: Record<string, unknown> = {};
  for (const [name, one] of Object.entries(benches)) {
    if (!names.includes(name)) continue;
    const start = performance.now();
    const result = await measureOrSayWhy(name, one, told);
    say(`${name} took ${((performance.now() - start) / 1000).toFixed(0)} s`);
    rows.push(...result.rows.map((row) => ({ bench: name, ...row })));
    measured[name] = result.measured;
    // After each of them: a bench that takes the process with it loses no other's figures.
    if (typeof json === "object") await writeFile(json.file, await report());
  }
  if (json === "stdout") process.stdout.write(await report());
  else process.stdout.write(await page());

  async function describeMaterial(): Promise<string | undefined> {
    return (await prepared?.catch(() => undefined))?.description;
  }

  async function report(): Promise<string> {
    return `${JSON.stringify({ ...environment, material: await describeMaterial(), rows, measured })}\n`;
  }

  async function page(): Promise<string> {
    const versions = Object.entries(environment.versions).map(([name, version]) => `${name} ${version}`);
    const command = `npm run bench${names.length === Object.keys(benches).length ? "" : ` -- ${names.join(" ")}`}`;
    const about = [environment.machine, versions.join(", "), await describeMaterial()];
    const head = about.filter((line) => line !== undefined).join("\n");
    return `\n${head}\n${command} at ${environment.commit}\n\n${formatTable(rows)}\n`;
  }
}

try {
  await bench();
} catch (thrown) {
  if (!(thrown instanceof TrommelError)) throw thrown;
  say(thrown.message);
  process.exitCode = 1;
}
