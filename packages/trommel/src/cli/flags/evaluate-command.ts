import { InvalidArgumentError, type Command } from "commander";
import { boundedFigures, type BoundedFigure, type FigureBounds } from "../../index.js";
import { clusterFlags, globals, loaded, patternFlags } from "./shared-flags.js";
import type { Terminal } from "../terminal.js";

export function addEvaluate(program: Command, terminal: Terminal): void {
  clusterFlags(patternFlags(globals(program.command("evaluate <prefix|scoring>"), terminal)))
    .description(
      "measure a model on labelled pictures, which it scores first, or on a finished scoring (its id or output)",
    )
    .option("--model <run|bundle>", "a finished run's id or a bundle's folder; of a scoring it is known")
    .option("--archives", "take the images within the tar, zip and Parquet archives under the prefix")
    .option("--labels <file>", "a CSV file of labels (default: the pictures' folders)")
    .option("--id-column <name>", "column of --labels that names the image (default: id)")
    .option("--label-column <name>", "column of --labels that names the class (default: label)")
    .option(
      "--delimiter <character>",
      "what separates the columns of --labels: a character, or tab (default: found)",
    )
    .option(
      "--encoding <name>",
      "how --labels is written, such as windows-1252 (default: UTF-8, or its byte order mark)",
    )
    .option(
      "--compare <run|bundle|scoring>",
      "another model, on the same pictures: figures, McNemar's test, which pictures changed",
    )
    .option(
      "--fail-under <figure=bound>",
      `exit with 4 where a figure misses its bound: ${figures.join(", ")}; log loss and calibration error are upper bounds; repeat for several`,
      bound,
    )
    .option("--output <location>", "where the evaluation's files are copied to, besides the store")
    .action(loaded(terminal, async () => (await import("../commands/evaluate.js")).evaluate));
}

const figures = Object.keys(boundedFigures) as BoundedFigure[];

/** `balancedAccuracy=0.9`, added to what the flag said before. */
function bound(text: string, previous: FigureBounds = {}): FigureBounds {
  const equals = text.indexOf("=");
  const [name, value] = [text.slice(0, Math.max(0, equals)), text.slice(equals + 1)];
  const figure = figures.find((known) => known === name);
  if (figure === undefined)
    throw new InvalidArgumentError(`Write <figure>=<number>; figures are ${figures.join(", ")}`);
  if (value.trim() === "" || !Number.isFinite(Number(value)))
    throw new InvalidArgumentError("Its bound is not a number");
  if (previous[figure] !== undefined)
    throw new InvalidArgumentError(`The figure ${figure} has a bound already`);
  return { ...previous, [figure]: Number(value) };
}
