import { resolveLocation } from "@trommel/common";
import { resolveExport, type AskedArchives } from "@trommel/coordinator/resolve";
import type { Run, Scoring } from "../../run.js";
import type { CallOptions } from "../abortable.js";
import { modelGiven, textGiven } from "../given.js";
import { pathFrom } from "../options.js";
import type { WorkHost } from "../work.js";
import { Evaluation } from "./evaluation.js";
import { checkBounds, type FigureBounds } from "./figure-bounds.js";
import { planEvaluation } from "./plan-evaluation.js";

/** A CSV file of labels. */
export interface LabelFile {
  /** A path, `file:` or `s3://`. */
  readonly file: string;
  /** The column that names the image: its key, its file name, or that without the extension. @default "id" */
  readonly idColumn?: string | undefined;
  /** The column that names the class. @default "label" */
  readonly labelColumn?: string | undefined;
  /** What separates the columns: a character or `tab`. @default found */
  readonly delimiter?: string | undefined;
  /** How the file is written, such as `windows-1252`. @default UTF-8, or what its byte order mark says */
  readonly encoding?: string | undefined;
}

/** What `Trommel.evaluate` takes besides images or scores. */
export interface EvaluateOptions extends CallOptions {
  /** A finished run, its id, or the location of a bundle. Needed for images; of a scoring it is known. */
  readonly model?: Run | string | undefined;
  /** Another model, which scores the same images, or a finished scoring of them. */
  readonly compare?: Run | Scoring | string | undefined;
  /** @default the images' folders are their labels */
  readonly labels?: LabelFile | undefined;
  /** Globs over the keys below the prefix of images: only what one of them matches is evaluated. @default all */
  readonly include?: readonly string[] | undefined;
  /** Globs: what one of them matches is left out. @default none */
  readonly exclude?: readonly string[] | undefined;
  /** Takes the images within the tar, zip and Parquet archives under the prefix. @default if the prefix is one archive */
  readonly archives?: AskedArchives | undefined;
  /** Bounds that the result's `missed` is held against. */
  readonly failUnder?: FigureBounds | undefined;
  /** The place that the evaluation's files are copied to, besides the store. */
  readonly output?: string | undefined;
}

/** @internal Begins the scorings that an evaluation needs. */
export async function evaluate(
  host: WorkHost,
  source: Scoring | string,
  {
    model,
    compare,
    labels,
    include = [],
    exclude = [],
    archives,
    failUnder: bounds = {},
    output,
  }: EvaluateOptions,
): Promise<Evaluation> {
  checkBounds(bounds);
  const { folder } = host.connections.options;
  const id = typeof source === "object" ? source.id : source;
  const plan = await planEvaluation(host, {
    source: textGiven(id, "evaluate", "source", "labelled images or a finished scoring"),
    model: model === undefined ? undefined : modelGiven(model, "evaluate"),
    compare: compare === undefined ? undefined : modelGiven(compare, "evaluate"),
    patterns: { include, exclude },
    archives,
    labels: { ...labels, file: labels === undefined ? null : pathFrom(folder, labels.file) },
  });
  const to = resolveExport({
    output: output === undefined ? undefined : resolveLocation(output, folder),
    dataset: plan.source,
    storeUrl: host.connections.store.url,
  });
  return new Evaluation(host, { ...plan, bounds, output: to });
}
