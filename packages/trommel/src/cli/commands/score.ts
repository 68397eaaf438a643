import { printable, TrommelError } from "../../index.js";
import type { Device, EngineName, PredictedRow, ScoreFormat } from "../../index.js";
import { describeScoringForecast, priceOf } from "../describe/describe-forecast.js";
import { sourceOf, steeringOf, type SourceFlags, type SteeringFlags } from "../flags/shared-flags.js";
import { followToEnd, isDetached, showWork, type FollowFlags } from "../follow.js";
import { withInterrupts, withTrommel, type ClusterFlags, type GlobalFlags } from "../handle.js";
import { exitCodes, type Terminal } from "../terminal.js";
import { showWatched } from "./watched-scoring.js";

type ScoreFlags = GlobalFlags &
  ClusterFlags &
  FollowFlags &
  SteeringFlags &
  SourceFlags & {
    readonly model: string;
    readonly output: string;
    readonly top?: number;
    readonly format?: readonly ScoreFormat[];
    readonly shardSize?: number;
    readonly include?: readonly string[];
    readonly exclude?: readonly string[];
    readonly unknownAbove?: number;
    readonly minProbability?: number | "thresholds";
    readonly limit?: number;
    readonly sample?: number;
    readonly seed?: number;
    readonly featuresOf?: string;
    readonly rescore?: string;
    readonly watch?: string;
    readonly dryRun?: true;
    readonly pricePerHour?: number;
    readonly maxFailures?: string;
    readonly spreadsheetSafe?: true;
    readonly embeddings?: "raw" | "projected";
    readonly embeddingsType?: "f16" | "f32";
  };

/** `trommel score [prefix] --model … --output …` */
export async function score(
  terminal: Terminal,
  prefix: string | undefined,
  flags: ScoreFlags,
): Promise<void> {
  await withInterrupts(terminal, flags, async (trommel, signal) => {
    const detach = isDetached(terminal, flags);
    const { model, output, top: topK, format: formats, shardSize, unknownAbove, minProbability } = flags;
    const { include, exclude, limit, sample, seed, maxFailures, spreadsheetSafe, featuresOf, rescore } =
      flags;
    const { embeddings, embeddingsType } = flags;
    const part = { limit, sample, seed, maxFailures };
    const asked = {
      ...steeringOf(flags),
      include,
      exclude,
      unknownAbove,
      minProbability,
      ...part,
      spreadsheetSafe,
      featuresOf,
      rescore,
      embeddings,
      embeddingsType,
    };
    const options = { model, output, ...sourceOf(flags), topK, formats, shardSize, ...asked, detach, signal };
    if (flags.dryRun === true) {
      if (flags.watch !== undefined) throw refusedWithWatch("--dry-run");
      const forecast = await trommel.forecastScoring(prefix, options);
      const { pricePerHour } = flags;
      const priced =
        pricePerHour === undefined ? forecast : { ...forecast, price: priceOf(forecast, pricePerHour) };
      for (const line of describeScoringForecast(priced)) terminal.say(line);
      terminal.result(priced);
      return;
    }
    if (flags.watch !== undefined) {
      refuseWithWatch(flags);
      const { detach: _, ...watched } = options;
      await showWatched(terminal, trommel.watchScoring(prefix, { ...watched, every: flags.watch }));
      return;
    }
    let scoring = await trommel.score(prefix, options);
    if (!detach && scoring.met === "unfinished") {
      terminal.say(`${scoring.id} is not finished: it continues with the listing that it has`);
      await followToEnd(terminal, scoring);
      // What has come since is its next generation.
      scoring = await trommel.score(prefix, options);
    }
    await showWork(terminal, scoring, detach);
  });
}

function refuseWithWatch({ follow }: FollowFlags): void {
  if (follow === false) throw refusedWithWatch("--no-follow");
}

function refusedWithWatch(flag: string): TrommelError {
  return new TrommelError(
    "invalid-argument",
    `cannot use --watch with ${flag}: it scores again and again until it is stopped. Leave one of them out`,
  );
}

type PredictFlags = GlobalFlags & {
  readonly model: string;
  readonly top?: number;
  readonly format?: "result";
  readonly device?: Device;
  readonly engine?: EngineName;
  readonly threads?: number;
  readonly unknownAbove?: number;
  readonly minProbability?: number | "thresholds";
};

/** `trommel predict <files…> --model …` */
export async function predict(terminal: Terminal, files: string[], flags: PredictFlags): Promise<void> {
  await withTrommel(terminal, flags, async (trommel) => {
    if (flags.engine === "tfjs") {
      throw new TrommelError(
        "invalid-argument",
        `cannot predict with --engine ${flags.engine}: predict runs a bundle's model.onnx. Leave --engine out`,
      );
    }
    if (flags.format !== undefined && terminal.json) {
      throw new TrommelError(
        "invalid-argument",
        `cannot predict with --json and --format ${flags.format}: the one prints an object, the other a line per file. Leave one of them out`,
      );
    }
    const { model, top: topK, device, threads, unknownAbove, minProbability } = flags;
    const options = { model, topK, device, threads, unknownAbove, minProbability };
    const { bundle, rows } = await trommel.predict(files, options);
    for (const row of rows) showRow(terminal, row, flags.format);
    terminal.result({ model: bundle, rows });
    if (rows.some((row) => "error" in row)) terminal.exitCode = exitCodes.failed;
  });
}

function showRow(terminal: Terminal, row: PredictedRow, format: "result" | undefined): void {
  if ("error" in row) {
    const line = printable(`${row.key}: failed: ${row.error.reason} (${row.error.detail})`);
    // Lines for machines stay alone on stdout.
    if (format === "result") terminal.progress(line);
    else terminal.say(line);
  } else if (format === "result") {
    const { key, label, novelty } = row;
    terminal.say(JSON.stringify({ result: label, key, novelty }));
  } else {
    const labels = row.top.map(({ label, probability }) => `${label} ${probability.toFixed(4)}`);
    const isKnown = row.label === row.top[0]?.label;
    const unlike = row.novelty === undefined ? "" : `; novelty ${row.novelty.toFixed(3)}`;
    terminal.say(printable(`${row.key}: ${isKnown ? "" : `${row.label}: `}${labels.join(", ")}${unlike}`));
  }
}
