import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import {
  devices,
  engines,
  inFlightDefaults,
  messageOf,
  scoreFormat,
  TrommelError,
  toTrommelError,
  workerQueues,
  type ScoreFormat,
} from "@trommel/common";
import {
  backboneCatalogue,
  backboneImport,
  backboneList,
  backbonePull,
  backboneRandom,
  backboneShow,
} from "./cli/commands/backbone.js";
import { recipeList, recipeShow } from "./cli/commands/recipe.js";
import { coordinator, up, worker } from "./cli/commands/serve.js";
import { cancel, resume, status } from "./cli/commands/runs.js";
import { predict, score } from "./cli/commands/score.js";
import { train } from "./cli/commands/train.js";
import { defaultOutstandingShards } from "./coordinator.js";
import { addRecipeFlags } from "./cli/recipe-flags.js";

const logLevels = ["debug", "info", "warn", "error", "silent"];

/** The command line. @returns the exit code: 0 done, 1 failed, 2 refused as it was asked */
export async function main(args: readonly string[]): Promise<number> {
  const program = new Command("trommel")
    .description(
      "Trains image classifiers on frozen backbones and scores image collections, over a job queue.",
    )
    .version("0.1.0")
    .showHelpAfterError("(--help shows what is legal)")
    .exitOverride();
  addBackboneCommands(program);
  addRecipeCommands(program);
  addTrain(program);
  addScore(program);
  addServers(program);
  addRunCommands(program);
  try {
    await program.parseAsync([...args], { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : 0;
  } catch (thrown) {
    return await reportFailure(thrown, args);
  }
}

async function reportFailure(thrown: unknown, args: readonly string[]): Promise<number> {
  const json = args.includes("--json");
  const embedded = args.includes("--embedded");
  // Commander has printed its own message, and --help and --version end here with 0.
  if (thrown instanceof CommanderError) {
    if (thrown.exitCode === 0) return 0;
    if (json)
      process.stdout.write(
        `${JSON.stringify({ error: { code: "invalid-argument", message: thrown.message } })}\n`,
      );
    return 2;
  }
  const error = toTrommelError(thrown);
  if (error.code === "cancelled" && error.context["interrupted"] === true) {
    process.stderr.write(`trommel: ${error.message}\n`);
    return 130;
  }
  const exitCode = error.code === "invalid-argument" || error.code === "device-unavailable" ? 2 : 1;
  // A worker of a local cluster leaves the telling to the command that started it.
  if (embedded && process.connected) {
    await new Promise((sent) => process.send?.({ error: error.toJSON() }, sent));
    return exitCode;
  }
  if (json) process.stdout.write(`${JSON.stringify({ error: error.toJSON() })}\n`);
  process.stderr.write(`trommel: ${error.message}\n`);
  if (error.code === "internal" && error.cause instanceof Error)
    process.stderr.write(`${error.cause.stack ?? ""}\n`);
  return exitCode;
}

/** Flags of every command. */
function globals(command: Command, logLevel = "warn"): Command {
  return command
    .addOption(
      new Option("--store <location>", "folder or s3://bucket/prefix")
        .env("TROMMEL_STORE")
        .default(".trommel"),
    )
    .addOption(
      new Option("--redis <url>", "redis://, rediss:// or unix: (default: embedded)").env(
        "TROMMEL_REDIS_URL",
      ),
    )
    .option("--json", "print one JSON object to stdout and all else to stderr")
    .addOption(new Option("--log-level <level>", "what goes to stderr").choices(logLevels).default(logLevel));
}

/** Flags of commands that run workers of their own where no Redis is given. */
function clusterFlags(command: Command): Command {
  return workerFlags(
    command.option(
      "--workers <count>",
      "workers of the embedded cluster (default: one a core, at most 4)",
      workerCount,
    ),
  ).option("--concurrency <shards>", "shards in flight per worker (default: 2)", positiveInteger);
}

/** Flags of whatever runs workers. */
function workerFlags(command: Command): Command {
  const { bytesInFlightMib, pixelsInFlightMib } = inFlightDefaults;
  return deviceFlags(command)
    .option(
      "--bytes-in-flight <MiB>",
      `files that a worker has fetched and not decoded (default: ${bytesInFlightMib})`,
      positiveInteger,
    )
    .option(
      "--pixels-in-flight <MiB>",
      `what a worker's decoding and decoded pictures take (default: ${pixelsInFlightMib})`,
      positiveInteger,
    );
}

function deviceFlags(command: Command): Command {
  return command
    .addOption(new Option("--device <device>", "where backbones run (default: cpu)").choices(devices))
    .addOption(new Option("--engine <engine>", "what runs them (default: onnx)").choices(engines))
    .option(
      "--threads <count>",
      "threads of the device's runtime (default: the cores, shared out)",
      positiveInteger,
    );
}

function followFlags(command: Command): Command {
  return command
    .option("--follow", "show progress until it ends (default on a terminal)")
    .option("--no-follow", "return as soon as it is queued");
}

function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError("it is not a whole number above zero.");
  return value;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError("it is not a whole number from zero.");
  return value;
}

/** Of a list by commas, added to what the flag said before. */
function scoreFormats(text: string, previous: readonly ScoreFormat[] = []): ScoreFormat[] {
  const added = text.split(",").map((name) => {
    const format = scoreFormat.safeParse(name);
    if (format.success) return format.data;
    throw new InvalidArgumentError(`Allowed choices are ${scoreFormat.options.join(", ")}.`);
  });
  return [...previous, ...added];
}

/** A local cluster of more is a slip of the hand, and would take the machine down. */
const workersAtMost = 64;

function workerCount(text: string): number {
  const value = positiveInteger(text);
  if (value > workersAtMost) {
    throw new InvalidArgumentError(
      `at most ${workersAtMost} on one machine; 'trommel worker' adds more from others.`,
    );
  }
  return value;
}

function addBackboneCommands(program: Command): void {
  const backbone = program.command("backbone").description("bring in and look at frozen networks");
  choiceFlags(globals(backbone.command("import <source>")))
    .description(
      "import a Keras-layers model.json, an ONNX encoder, or Keras weights (.h5, safetensors) with --arch; by path, s3:// or https://",
    )
    .option("--arch <architecture>", "architecture of the zoo that a file of weights is for")
    .option("--output <layer>", "layer or tensor whose value is the embedding")
    .option("--sha256 <hex>", "what the file must hash to; required for https://")
    .action(backboneImport);
  choiceFlags(globals(backbone.command("pull <weights>")))
    .description("download public weights by their name in the catalogue, verify and import them")
    .option("--catalogue <file>", "a YAML or JSON catalogue instead of the built-in one")
    .action(backbonePull);
  globals(backbone.command("catalogue"))
    .description("list the public weights that 'pull' knows")
    .option("--catalogue <file>", "a YAML or JSON catalogue instead of the built-in one")
    .action(backboneCatalogue);
  choiceFlags(globals(backbone.command("random")))
    .description("make a backbone with random weights, to try a recipe without its own")
    .requiredOption("--arch <architecture>", "architecture of the zoo")
    .option("--seed <number>", "seed of the weights", wholeNumber, 0)
    .action(backboneRandom);
  globals(backbone.command("ls")).description("list the store's backbones").action(backboneList);
  globals(backbone.command("show <name>")).description("show one backbone's spec").action(backboneShow);
}

/** What may be said of every new backbone. */
function choiceFlags(command: Command): Command {
  return command
    .option("--name <name>", "name of the backbone (default: the catalogue's, else that of --arch)")
    .option(
      "--size <pixels>",
      "side of the square input (default: the model's, catalogue's or architecture's)",
      positiveInteger,
    )
    .option(
      "--normalize <how>",
      "tf, torch, unit, none, or six numbers: means, deviations (default: the catalogue's or architecture's, else tf)",
    )
    .addOption(
      new Option(
        "--channels <order>",
        "order the network wants (default: the catalogue's or architecture's, else rgb)",
      ).choices(["rgb", "bgr"]),
    )
    .addOption(
      new Option("--pooling <how>", "pooling of a spatial output (default: average)").choices([
        "average",
        "max",
      ]),
    );
}

function addRecipeCommands(program: Command): void {
  const recipe = program.command("recipe").description("look at the built-in recipes");
  globals(recipe.command("ls")).description("list them with their variants and backbones").action(recipeList);
  globals(recipe.command("show <name>"))
    .description("print one as it is shipped; with --json, with every default filled in")
    .action(recipeShow);
}

function addTrain(program: Command): void {
  const command = program
    .command("train [prefix]")
    .description("train a classifier on a prefix of labelled pictures (default: the recipe's variable)");
  followFlags(clusterFlags(addRecipeFlags(globals(command))))
    .option("--run <id>", "id of the run (default: from what it is)")
    .option(
      "--output <location>",
      "where the bundle is copied to, besides the store (default: the recipe's variable)",
    )
    .action(train);
}

function addScore(program: Command): void {
  followFlags(clusterFlags(globals(program.command("score <prefix>"))))
    .description("score every picture under a prefix")
    .requiredOption("--model <run|bundle>", "a finished run's id or a bundle's folder")
    .requiredOption("--output <prefix>", "where the scores go")
    .option("--top <k>", "labels per row (default: 5, or all where there are fewer)", positiveInteger)
    .option(
      "--format <formats>",
      "csv, result or kaggle beside jsonl; several by commas or by repeating it (default: the model's)",
      scoreFormats,
    )
    .option("--shard-size <images>", "images per shard", positiveInteger, 256)
    .action(score);
  deviceFlags(globals(program.command("predict <files...>")))
    .description("classify a few files, without a queue")
    .requiredOption("--model <run|bundle>", "a finished run's id or a bundle's folder")
    .option("--top <k>", "labels per row (default: 5, or all where there are fewer)", positiveInteger)
    .addOption(
      new Option("--format <format>", 'a line {"result": label, "key": file} each').choices(["result"]),
    )
    .action(predict);
}

function addServers(program: Command): void {
  globals(program.command("coordinator"), "info")
    .description("serve the plan queue: prefixes to shards to jobs")
    .option(
      "--outstanding-shards <shards>",
      "of one run, queued and unfinished at most",
      positiveInteger,
      defaultOutstandingShards,
    )
    .action(coordinator);
  workerFlags(globals(program.command("worker"), "info"))
    .description("serve the work queues")
    .option("--concurrency <shards>", "shards in flight", positiveInteger, 2)
    .addOption(
      new Option("--queues <names...>", "queues to serve").choices(workerQueues).default([...workerQueues]),
    )
    .option(
      "--drain-seconds <seconds>",
      "how long shards under way may finish after SIGTERM",
      positiveInteger,
      100,
    )
    .addOption(new Option("--embedded").hideHelp())
    .action(worker);
  clusterFlags(globals(program.command("up"), "info"))
    .description("run a local cluster until interrupted: Redis, a coordinator and workers")
    .option("--port <port>", "loopback port of its Redis", positiveInteger, 6390)
    .action(up);
}

function addRunCommands(program: Command): void {
  globals(program.command("status [run]"))
    .description("what a run has done, or a list of all")
    .option("--follow", "show progress until it ends")
    .action(status);
  globals(program.command("cancel <run>")).description("stop a run; what is done is kept").action(cancel);
  followFlags(clusterFlags(globals(program.command("resume <run>"))))
    .description("continue a run from what the store holds")
    .action(resume);
}

process.on("unhandledRejection", (reason) => {
  process.stderr.write(`trommel: ${reason instanceof TrommelError ? reason.message : messageOf(reason)}\n`);
  process.exitCode = 1;
});
