/**
 * `npm run demo`: the main job on pictures of its own, by the command line as a person would type it. It draws waste on
 * cluttered grounds, imports the MobileNetV2 that the npm package nsfwjs ships, trains on it, scores pictures that the
 * training has not seen, and prints what came of it. Everything lies in .trommel/demo; what stands there already is not
 * done again, so a second run prints the same. `npm run demo -- --fresh` starts over.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { nsfwjsModel } from "../support/models/nsfwjs-model.js";
import { wasteClasses, writeLabelledPictures, writeUnlabelledPictures } from "./draw-waste-pictures.js";

const pictures = { seed: 20, labelledPerClass: 64, unlabelled: 60 } as const;
const rowsShown = 6;

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");
const folder = path.join(root, ".trommel/demo");
const labelledFolder = path.join(folder, "labelled");
const unlabelledFolder = path.join(folder, "unlabelled");
const modelFolder = path.join(folder, "nsfwjs-mobilenet-v2");
const scoresFolder = path.join(folder, "scores");
/** Written after the pictures: what was asked for, and the class of each picture to be scored. */
const drawnFile = path.join(folder, "drawn.json");

const drawn = z.object({ asked: z.unknown(), truth: z.record(z.string(), z.string()) });
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
type Truth = Readonly<Record<string, string>>;

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
  const environment = { ...process.env, TROMMEL_STORE: path.join(folder, "store") };
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

/** @returns the class of each picture that is to be scored, by its file name */
async function drawPictures(): Promise<Truth> {
  const before = await readFile(drawnFile, "utf8").catch(() => undefined);
  if (before !== undefined) {
    const { asked, truth } = drawn.parse(JSON.parse(before));
    if (JSON.stringify(asked) === JSON.stringify(pictures)) return truth;
  }
  const count = wasteClasses.length * pictures.labelledPerClass;
  step(
    `drawing ${count} pictures of ${wasteClasses.length} classes, and ${pictures.unlabelled} more to score`,
  );
  await rm(folder, { recursive: true, force: true });
  await writeLabelledPictures(labelledFolder, pictures.labelledPerClass, pictures.seed);
  const truth = await writeUnlabelledPictures(unlabelledFolder, pictures.unlabelled, pictures.seed);
  await writeFile(drawnFile, JSON.stringify({ asked: pictures, truth: Object.fromEntries(truth) }));
  return Object.fromEntries(truth);
}

/** Unpacks nsfwjs's MobileNetV2 into the files that a Keras-layers model has. @returns the path of its model.json */
async function unpackModel(): Promise<string> {
  const { modelJson, paths, readFile: readWeights } = nsfwjsModel("mobilenet_v2");
  await mkdir(modelFolder, { recursive: true });
  for (const file of paths) await writeFile(path.join(modelFolder, file), await readWeights(file));
  await writeFile(path.join(modelFolder, "model.json"), modelJson);
  return path.join(modelFolder, "model.json");
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
  if (process.argv.includes("--fresh")) await rm(folder, { recursive: true, force: true });
  const truth = await drawPictures();

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
