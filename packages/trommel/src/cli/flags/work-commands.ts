import { InvalidArgumentError, Option, type Command } from "commander";
import { scoreFormat, type ScoreFormat } from "../../index.js";
import { imagesPerShardAtMost } from "../../index.js";
import { addRecipeFlags } from "./recipe-flags.js";
import {
  clusterFlags,
  deviceFlags,
  followFlags,
  globals,
  loaded,
  maxFailures,
  patternFlags,
  positiveInteger,
  isShare,
  share,
  sourceFlags,
  steeringFlags,
  upTo,
  wholeNumber,
} from "./shared-flags.js";
import type { Terminal } from "../terminal.js";

export function addTrain(program: Command, terminal: Terminal): void {
  const command = program
    .command("train [prefix]")
    .description("train a classifier on a prefix of labelled pictures (default: the recipe's variable)");
  const listed = sourceFlags(patternFlags(addRecipeFlags(globals(command, terminal))));
  steeringFlags(followFlags(clusterFlags(listed)))
    .option("--run <id>", "id of the run (default: from what it is)")
    .option(
      "--output <location>",
      "where the bundle is copied to, besides the store (default: the recipe's variable)",
    )
    .option(
      "--dry-run",
      "say what it would work on, with the rounds of --tune and their time, and write nothing",
    )
    .action(loaded(terminal, async () => (await import("../commands/train.js")).train));
}

function price(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && Number.isFinite(value)))
    throw new InvalidArgumentError("It is not a number from zero");
  return value;
}

/** The hashes of a sample are held in memory while the source is listed. */
const sampleAtMost = 1_000_000;

const unknownAbove = [
  "--unknown-above <share>",
  "label images 'unknown' that are more novel than this share of the training images, such as 0.99",
  share,
] as const;
const minProbability = [
  "--min-probability <share|thresholds>",
  "label images 'unknown' that are less probable than this, or than the model's threshold for their class",
  (text: string) => {
    if (text === "thresholds") return text;
    if (isShare(text)) return Number(text);
    throw new InvalidArgumentError("It is neither a number from 0 to 1 nor 'thresholds'");
  },
] as const;

export function addScore(program: Command, terminal: Terminal): void {
  const listed = sourceFlags(patternFlags(globals(program.command("score [prefix]"), terminal)));
  steeringFlags(followFlags(clusterFlags(listed)))
    .description("score every picture under a prefix, or every one that a table lists")
    .option(
      "--label-column <name>",
      "column of --manifest or --archives that is a label: it is not carried into the scores",
    )
    .requiredOption("--model <run|bundle>", "a finished run's id or a bundle's folder (required)")
    .requiredOption("--output <prefix>", "where the scores go (required)")
    .option("--top <k>", "labels per row (default: 5, or all where there are fewer)", positiveInteger)
    .option(
      "--format <formats>",
      "csv, parquet, result or kaggle in addition to jsonl; several by commas or by repeating it (default: the model's)",
      scoreFormats,
    )
    .option(
      "--shard-size <images>",
      "images per shard, at most 4096 (default: 256)",
      upTo(imagesPerShardAtMost, " go into a shard"),
    )
    .option(...unknownAbove)
    .option(...minProbability)
    .option(
      "--features-of <run>",
      "score the features that a run has stored, without a prefix, and read no picture: --model has the same backbones",
    )
    .option(
      "--rescore <scoring|output>",
      "score the images of a finished scoring with another --model, and say which labels differ",
    )
    .option(
      "--watch <interval>",
      "score what is new again and again until it is stopped: seconds, or a cron expression such as '*/5 * * * *'",
    )
    .option("--limit <images>", "score the first images of the listing, so many", positiveInteger)
    .option(
      "--sample <images>",
      "score so many images, drawn by --seed and their keys",
      upTo(sampleAtMost, " are drawn"),
    )
    .option("--seed <number>", "seed of --sample (default: 0)", wholeNumber)
    .option(...maxFailures)
    .option(
      "--dry-run",
      "say what it would score and how long it may take, by the last scoring or a worker that tries a few images, and write nothing",
    )
    .option("--price-per-hour <amount>", "of the machines: --dry-run says the price", price)
    .addOption(
      new Option(
        "--embeddings <vector>",
        "write into jsonl and parquet the backbones' embedding of each image, or what the model's heads take of it",
      ).choices(["raw", "projected"]),
    )
    .addOption(
      new Option("--embeddings-type <type>", "type of their numbers (default: f32)").choices(["f16", "f32"]),
    )
    .option("--spreadsheet-safe", "in CSV, write texts that a spreadsheet would compute as texts")
    .action(loaded(terminal, async () => (await import("../commands/score.js")).score));
  deviceFlags(globals(program.command("predict <files...>"), terminal))
    .description("classify a few files, without a queue")
    .requiredOption("--model <run|bundle>", "a finished run's id or a bundle's folder (required)")
    .option("--top <k>", "labels per row (default: 5, or all where there are fewer)", positiveInteger)
    .addOption(
      new Option("--format <format>", 'a line {"result": label, "key": file} each').choices(["result"]),
    )
    .option(...unknownAbove)
    .option(...minProbability)
    .action(loaded(terminal, async () => (await import("../commands/score.js")).predict));
}

/** Formats of a list by commas, added to what the flag said before. */
function scoreFormats(text: string, previous: readonly ScoreFormat[] = []): ScoreFormat[] {
  const added = text.split(",").map((name) => {
    const format = scoreFormat.safeParse(name);
    if (format.success) return format.data;
    throw new InvalidArgumentError(`Allowed choices are ${scoreFormat.options.join(", ")}`);
  });
  return [...previous, ...added];
}
