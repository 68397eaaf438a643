/**
 * `npm run bench`: what the project promises in numbers, each a ratio or a table measured in one run.
 * `npm run bench -- extract` runs one of extract, head, memory, run, recipes and tianchi; `--json` prints one object for machines.
 * Everything lies in .trommel/bench, which is emptied first.
 */
import { mkdir, rm } from "node:fs/promises";
import { availableParallelism, cpus, totalmem } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { TrommelError } from "@trommel/common";
import { benchExtract } from "./extract-bench.js";
import { benchHead } from "./head-bench.js";
import { benchMemory } from "./memory-bench.js";
import { benchRecipes } from "./recipes-bench.js";
import { benchRun } from "./run-bench.js";
import { benchTianchi } from "./tianchi-bench.js";
import { prepareMaterial, type Material } from "./material.js";
import type { BenchResult, BenchRow, BenchSetting } from "./result.js";

type Bench = (material: Material, store: string, setting: BenchSetting) => Promise<BenchResult>;

const benches: Readonly<Record<string, Bench>> = {
  extract: benchExtract,
  head: benchHead,
  memory: benchMemory,
  run: benchRun,
  recipes: benchRecipes,
  tianchi: benchTianchi,
};

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");
const folder = path.join(root, ".trommel/bench");

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean", default: false }, threads: { type: "string" } },
});

function say(words: string): void {
  process.stderr.write(`bench: ${words}\n`);
}

function chosenBenches(): string[] {
  const known = Object.keys(benches);
  for (const name of positionals) {
    if (!known.includes(name)) throw refusal(`'${name}' is none`, `Name one or more of ${known.join(", ")}`);
  }
  return positionals.length === 0 ? known : positionals;
}

function chosenThreads(): number {
  const threads = Number(flags.threads ?? availableParallelism());
  if (Number.isInteger(threads) && threads > 0) return threads;
  throw refusal(`--threads ${flags.threads} is no number of threads`, "Give 1, 2, 3, …");
}

function refusal(why: string, advice: string): TrommelError {
  return new TrommelError("invalid-argument", `failed to choose a bench: ${why}. ${advice}`);
}

function describeMachine(threads: number): string {
  const [cpu] = cpus();
  const memory = `${(totalmem() / 1024 ** 3).toFixed(0)} GiB`;
  return (
    `${cpu?.model.trim() ?? "unknown CPU"}, ${availableParallelism()} cores, ${memory}, ${process.platform} ${process.arch}, ` +
    `Node.js ${process.versions.node}; ${threads} threads`
  );
}

function printTable(rows: readonly BenchRow[]): void {
  const width = (pick: (row: BenchRow) => string): number => Math.max(...rows.map((row) => pick(row).length));
  const whatWidth = width(({ what }) => what);
  const valueWidth = width(({ value }) => value);
  for (const { what, value, target } of rows) {
    console.log(`${what.padEnd(whatWidth)}  ${value.padStart(valueWidth)}  ${target ?? ""}`.trimEnd());
  }
}

async function bench(): Promise<void> {
  const names = chosenBenches();
  const threads = chosenThreads();
  if (process.platform !== "linux") {
    throw new TrommelError(
      "unsupported",
      `failed to measure on ${process.platform}: CPU time and memory are read from /proc. Run it on Linux`,
    );
  }
  await rm(folder, { recursive: true, force: true });
  const store = path.join(folder, "store");
  await mkdir(store, { recursive: true });
  say("importing backbones");
  const material = await prepareMaterial(folder, store);
  const results: Record<string, unknown> = {};
  const rows: BenchRow[] = [];
  for (const name of names) {
    say(`${name}: ${material.description}`);
    const own = path.join(folder, name);
    const result = await benches[name]?.(material, store, { folder: own, threads, say });
    rows.push(...(result?.rows ?? []));
    results[name] = result?.measured;
  }
  const machine = describeMachine(threads);
  if (flags.json) {
    console.log(JSON.stringify({ machine, material: material.description, rows, measured: results }));
    return;
  }
  console.log(
    `\n${machine}\n${material.description}\nnpm run bench${names.length === Object.keys(benches).length ? "" : ` -- ${names.join(" ")}`}; median (least–most) where repeated\n`,
  );
  printTable(rows);
}

try {
  await bench();
} catch (thrown) {
  if (!(thrown instanceof TrommelError)) throw thrown;
  say(thrown.message);
  process.exitCode = 1;
}
