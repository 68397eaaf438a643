import { InvalidArgumentError, Option, type Command } from "commander";
import type { Terminal } from "../terminal.js";
import {
  devices,
  engines,
  priorities,
  TrommelError,
  workerDefaults,
  workerOptionsAtMost as atMost,
  type AskedArchives,
  type AskedManifest,
  type Priority,
  type SteeringOptions,
} from "../../index.js";

/** Flags that several commands share, declared once. */

/** A local cluster of more is a slip of the hand, and would take the machine down. */
const workersAtMost = 64;

const logLevels = ["debug", "info", "warn", "error", "silent"];

/**
 * Flags of every command.
 * @param others.withoutRedis what the command has if no Redis is given
 */
export function globals(
  command: Command,
  { io }: Terminal,
  others: { readonly logLevel?: string; readonly withoutRedis?: string } = {},
): Command {
  const { logLevel = "warn", withoutRedis = "embedded" } = others;
  const { TROMMEL_STORE: store = ".trommel", TROMMEL_REDIS_URL: redis } = io.env;
  return (
    command
      .addOption(
        new Option("--store <location>", "folder or s3://bucket/prefix (env: TROMMEL_STORE)").default(
          store,
          "TROMMEL_STORE, else .trommel",
        ),
      )
      .addOption(
        // The variable's value may hold a password, so no help shows it.
        new Option(
          "--redis <url>",
          `redis://, rediss:// or unix: (env: TROMMEL_REDIS_URL; default: ${withoutRedis})`,
        ).default(redis, "TROMMEL_REDIS_URL"),
      )
      .addOption(
        new Option(
          "--request-payer <payer>",
          "'requester' reads buckets whose reader pays (env: AWS_REQUEST_PAYER)",
        ).choices(["requester"]),
      )
      // Every store of this process and of its workers reads the variable, as the AWS SDK's own.
      .hook("preAction", (_, action) => {
        const { requestPayer } = action.opts<{ requestPayer?: string }>();
        if (requestPayer !== undefined) process.env["AWS_REQUEST_PAYER"] = requestPayer;
      })
      .option("--json", "print one JSON object to stdout and all else to stderr")
      .addOption(
        new Option("--log-level <level>", "what goes to stderr").choices(logLevels).default(logLevel),
      )
  );
}

/** Flags of commands that run workers of their own where no Redis is given. */
export function clusterFlags(command: Command): Command {
  return workerFlags(
    command.option(
      "--workers <count>",
      "workers of the embedded cluster (default: one a core, at most 4)",
      upTo(workersAtMost, " on one machine; 'trommel worker' adds more from others"),
    ),
  ).option(
    "--concurrency <shards>",
    `shards in flight per worker (default: ${workerDefaults.concurrency})`,
    upTo(atMost.concurrency),
  );
}

/** Flags that say which keys are listed. */
export function patternFlags(command: Command): Command {
  const collect = (pattern: string, previous: readonly string[] = []): string[] => [...previous, pattern];
  return command
    .option(
      "--include <glob>",
      "take only keys below the prefix that a glob matches, such as '*.jpg' or 'images/**'; repeat for several",
      collect,
    )
    .option(
      "--exclude <glob>",
      "leave keys out that a glob matches, such as '*_mask.png' or 'thumbs/'; repeat for several",
      collect,
    );
}

/** Flags that say what lists the images, if not the prefix. */
export function sourceFlags(command: Command): Command {
  return command
    .option(
      "--manifest <file>",
      "take the images that a .csv, .jsonl or .parquet table lists, by keys under the prefix or whole locations",
    )
    .option("--archives", "take the images within the tar, zip and Parquet archives under the prefix")
    .option(
      "--image-column <name>",
      "column of a Parquet archive that holds the pictures (default: the only one)",
    )
    .option(
      "--key-column <name>",
      "column of --manifest that names the image (default: key), or of a Parquet archive (default: its path)",
    );
}

/** What the flags name. */
export interface SourceFlags {
  readonly manifest?: string | undefined;
  readonly archives?: true | undefined;
  readonly imageColumn?: string | undefined;
  readonly keyColumn?: string | undefined;
  readonly labelColumn?: string | undefined;
}

/** @throws TrommelError `invalid-argument` for flags that exclude each other, and a column of nothing */
export function sourceOf(flags: SourceFlags): {
  readonly manifest?: AskedManifest;
  readonly archives?: AskedArchives;
} {
  const { manifest, archives, imageColumn, keyColumn, labelColumn } = flags;
  if (manifest !== undefined) {
    const other =
      archives === undefined ? (imageColumn === undefined ? undefined : "--image-column") : "--archives";
    if (other === undefined) return { manifest: { location: manifest, keyColumn, labelColumn } };
    throw new TrommelError(
      "invalid-argument",
      `cannot use --manifest with ${other}: a manifest lists images that are files of their own. Leave one of them out`,
    );
  }
  const isAsked = [archives, imageColumn, keyColumn].some((flag) => flag !== undefined);
  return isAsked ? { archives: { imageColumn, keyColumn, labelColumn } } : {};
}

/** Without a table of labels the column that labels is the source's own. */
export function isOfSource(flags: Readonly<Record<string, unknown>>, flag: string): boolean {
  const { manifest, archives, imageColumn, keyColumn, labels } = flags;
  const isTable = [manifest, archives, imageColumn, keyColumn].some((given) => given !== undefined);
  return isTable && labels === undefined && flag.startsWith("--label-column ");
}

/** Flags of whatever runs workers. */
export function workerFlags(command: Command): Command {
  const { bytesInFlightMib, pixelsInFlightMib, viewsPerBatch } = workerDefaults;
  return deviceFlags(command)
    .option(
      "--bytes-in-flight <MiB>",
      `files that a worker has fetched and not decoded (default: ${bytesInFlightMib})`,
      upTo(atMost.mebibytes),
    )
    .option(
      "--batch <views>",
      `views that the device computes at once (default: ${viewsPerBatch.cpu}, ${viewsPerBatch.cuda} on a GPU)`,
      upTo(atMost.viewsPerBatch),
    )
    .option(
      "--pixels-in-flight <MiB>",
      `what a worker's decoding and decoded pictures take (default: ${pixelsInFlightMib})`,
      upTo(atMost.mebibytes),
    );
}

export function deviceFlags(command: Command): Command {
  return command
    .addOption(new Option("--device <device>", "where backbones run (default: cpu)").choices(devices))
    .addOption(new Option("--engine <engine>", "what runs them (default: onnx)").choices(engines))
    .option(
      "--threads <count>",
      "threads of the device's runtime (default: the cores, shared out)",
      upTo(atMost.threads),
    );
}

export const maxFailures = [
  "--max-failures <images|percent>",
  "stop once more images than this have failed, such as 500 or 2% of the listing (default: never)",
] as const;

/**
 * Flags of what is worked on next to other work.
 * @param known whether the command is given something that has a share already. @default false
 */
export function steeringFlags(command: Command, { known = false } = {}): Command {
  const [share, limit] = known ? ["as it is", "as it is"] : ["normal", "no limit"];
  return command
    .addOption(
      new Option(
        "--priority <priority>",
        `its share of the workers next to other runs: high has four times that of normal, low a fourth (default: ${share})`,
      ).choices(priorities),
    )
    .addOption(
      new Option(
        "--jobs-at-most <jobs>",
        `of each queue, under way at once; 0 for no limit (default: ${limit})`,
      ).argParser(wholeNumber),
    );
}

/** What the flags say; what is left out stays as it was. */
export interface SteeringFlags {
  readonly priority?: Priority | undefined;
  readonly jobsAtMost?: number | undefined;
}

export function steeringOf({ priority, jobsAtMost }: SteeringFlags): SteeringOptions {
  return { priority, jobsAtMost: jobsAtMost === 0 ? null : jobsAtMost };
}

export function followFlags(command: Command): Command {
  return command
    .option("--follow", "show progress until it ends (default on a terminal)")
    .option("--no-follow", "return as soon as it is queued");
}

/** What a command does, loaded when it is given: --help and what the command line refuses need not wait for it. */
export function loaded<Arguments extends unknown[]>(
  terminal: Terminal,
  load: () => Promise<(terminal: Terminal, ...given: Arguments) => Promise<void>>,
): (...given: Arguments) => Promise<void> {
  return async (...given) => (await load())(terminal, ...given);
}

export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError("It is not a whole number above zero");
  return value;
}

/**
 * @param why ends the sentence "At most 64…" that a larger one gets
 * @returns reads a whole number from one to `most`
 */
export function upTo(most: number, why = ""): (text: string) => number {
  return (text) => {
    const value = positiveInteger(text);
    if (value > most) throw new InvalidArgumentError(`At most ${most}${why}`);
    return value;
  };
}

export function isShare(text: string): boolean {
  const value = Number(text);
  return text.trim() !== "" && value >= 0 && value <= 1;
}

/** A number from 0 to 1. */
export function share(text: string): number {
  if (!isShare(text)) throw new InvalidArgumentError("It is not a number from 0 to 1");
  return Number(text);
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError("It is not a whole number from zero");
  return value;
}
