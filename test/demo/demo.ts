/**
 * `npm run demo`: the main job on pictures of its own, by the command line as a person would type it. It draws waste on
 * cluttered grounds, imports the MobileNetV2 that the npm package nsfwjs ships, trains on it, scores pictures that the
 * training has not seen, and prints what came of it. Everything lies in .trommel/demo; what is there already is not
 * done again, so a second run prints the same. `npm run demo -- --fresh` starts over.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import {
  demoFolder,
  drawPictures,
  labelledFolder,
  repositoryRoot as root,
  unlabelledFolder,
  unpackModel,
  type Truth,
} from "./demo-data.js";

const rowsShown = 6;
const scoresFolder = path.join(demoFolder, "scores");

const trained = z.object({ accuracy: z.number(), location: z.string() });
const scored = z.object({
  ledger: z.object({
    listed: z.number(),
    ok: z.number(),
    failed: z.number(),
    skipped: z.number(),
    failedByReason: z.record(z.string(), z.number()),
  }),
});
const scoreRow = z.object({ key: z.string(), label: z.string(), probability: z.number() });
type ScoreRow = z.infer<typeof scoreRow>;

class CommandFailed extends Error {}

function step(words: string): void {
  process.stderr.write(`\ndemo: ${words}\n`);
}

const shown = (file: string): string => path.relative(process.cwd(), file);

/** Runs one command of the real CLI on a cluster of its own. @returns what it prints with --json, unchecked */
async function trommel(...args: string[]): Promise<unknown> {
  process.stderr.write(
    `demo: npx trommel ${args.map((arg) => (path.isAbsolute(arg) ? shown(arg) : arg)).join(" ")}\n`,
  );
  const bin = path.join(root, "packages/trommel/bin/trommel.js");
  const environment = { ...process.env, TROMMEL_STORE: path.join(demoFolder, "store") };
  delete (environment as NodeJS.ProcessEnv)["TROMMEL_REDIS_URL"];
  const child = spawn(process.execPath, [bin, ...args, "--json"], {
    cwd: root,
    env: environment,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new CommandFailed(`trommel ${args[0] ?? ""} ended with ${String(code)}`);
  return JSON.parse(printed) as unknown;
}

async function readScores(): Promise<ScoreRow[]> {
  const parts = (await readdir(scoresFolder)).filter((name) => /^part-\d+\.jsonl$/.test(name)).sort();
  const texts = await Promise.all(parts.map(async (name) => readFile(path.join(scoresFolder, name), "utf8")));
  const lines = texts.flatMap((text) => text.split("\n").filter((line) => line !== ""));
  return lines.map((line) => scoreRow.parse(JSON.parse(line)));
}

function printRows(rows: readonly ScoreRow[], truth: Truth): void {
  console.log("\npicture      scored as      probability   drawn as");
  for (const { key, label, probability } of rows.slice(0, rowsShown)) {
    const name = path.posix.basename(key);
    console.log(
      `${name.padEnd(13)}${label.padEnd(15)}${probability.toFixed(3).padStart(11)}   ${truth[name] ?? "?"}`,
    );
  }
  const right = rows.filter(({ key, label }) => truth[path.posix.basename(key)] === label).length;
  console.log(
    `${right} of ${rows.length} pictures that the training had not seen are scored as what was drawn.`,
  );
}

const asPath = (location: string): string =>
  location.startsWith("file:") ? fileURLToPath(location) : location;

async function demo(): Promise<void> {
  if (process.argv.includes("--fresh")) await rm(demoFolder, { recursive: true, force: true });
  const truth = await drawPictures(step);

  step("importing the backbone");
  const importing = [
    "--name",
    "mobilenetv2-nsfwjs",
    "--output",
    "out_relu",
    "--size",
    "224",
    "--normalize",
    "unit",
  ];
  await trommel("backbone", "import", await unpackModel(), ...importing);

  step("training");
  const training = ["--backbone", "mobilenetv2-nsfwjs", "--head", "mlp", "--run", "demo", "--workers", "2"];
  const run = trained.parse(await trommel("train", labelledFolder, ...training));

  step("scoring");
  const scoring = ["--model", "demo", "--output", scoresFolder, "--workers", "2"];
  const { ledger } = scored.parse(await trommel("score", unlabelledFolder, ...scoring));

  const reasons = Object.entries(ledger.failedByReason).map(([reason, count]) => `${count} ${reason}`);
  const bundle = asPath(run.location);
  printRows(await readScores(), truth);
  console.log(
    `\nledger:   ${ledger.listed} listed = ${ledger.ok} ok + ${ledger.failed} failed (${reasons.join(", ")}) + ${ledger.skipped} skipped`,
  );
  console.log(`accuracy: ${run.accuracy.toFixed(4)} on the validation pictures`);
  console.log(`report:   ${shown(path.join(bundle, "report.html"))}`);
  console.log(`bundle:   ${shown(bundle)}`);
  console.log(`scores:   ${shown(scoresFolder)}`);
}

try {
  await demo();
} catch (thrown) {
  if (!(thrown instanceof CommandFailed)) throw thrown;
  process.stderr.write(
    `demo: ${thrown.message}; its own words are above. 'npm run demo -- --fresh' starts over.\n`,
  );
  process.exitCode = 1;
}
