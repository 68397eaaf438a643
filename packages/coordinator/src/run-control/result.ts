import {
  bundleFiles,
  bundleManifest,
  ledger as ledgerSchema,
  openStore,
  outputKeys,
  parseJsonAs,
  runKeys,
  TrommelError,
  type BundleManifest,
  type Ledger,
  type ObjectStore,
  type StopReason,
} from "@trommel/common";
import {
  foldRunsOf,
  mayBeUnknown,
  readGeneration,
  scoreCounts,
  scoreDifferences,
  scoringSuccess,
  sortedKeys,
  sortLedger,
  untunedOf,
  type Contradictions,
  type ScoreCounts,
  type ScoreDifferences,
  type ScoringSuccess,
  type SortLedger,
  type SubmissionOutcome,
} from "@trommel/common/artefacts";
import { stagesOf } from "@trommel/common/jobs";
import { locationOf, readIfThere } from "@trommel/common/store";
import { z } from "zod";
import { readListingOverview, type ListingOverview } from "./listing-overview.js";
import { traitsOf, type Subject } from "./subject.js";

/** What a finished run or scoring has to show. */
export interface RunResult {
  readonly ledger: Ledger;
  /** Location of the bundle, of the scores or of the sorted pictures. */
  readonly location: string;
  readonly accuracy?: number;
  readonly macroF1?: number;
  readonly logLoss?: number;
  /** How many images the figures are measured on. */
  readonly validationImages?: number;
  /** Which head the figures are of: after a refit, the one before it. */
  readonly measured?: BundleManifest["metrics"]["measured"];
  /** What chose the model, and so how far to trust the figures, in a sentence. */
  readonly chosenBy?: string;
  /** The figures of the validation part with epochs that its other images chose. */
  readonly chosenApart?: PartFigures;
  /** The figures of the test part, on which nothing was fitted or chosen. */
  readonly test?: PartFigures;
  readonly labels?: readonly string[];
  /** For a run: images with the same bytes and different labels. */
  readonly contradictions?: Contradictions;
  /** What was listed: classes with their counts, what patterns left out, what looks odd. */
  readonly listing?: ListingOverview;
  /** For a run, as long as Redis knows its last attempt: where its features came from. */
  readonly extraction?: ExtractionCounts;
  /** For a run that tunes its backbone: the run without tuning, which it started from and can be compared with. */
  readonly untuned?: string;
  /** For a run that tunes several networks: the runs that tuned one for each fold. */
  readonly foldRuns?: readonly string[];
  /** For a scoring: images by likeliest label; `unknown` is 0 if images could have been called so and none was. */
  readonly counts?: ScoreCounts;
  /** For a scoring with the format `kaggle`. */
  readonly submission?: SubmissionOutcome;
  /** For a scoring that names an earlier one: how many images have another label than there. */
  readonly differences?: ScoreDifferences;
  /** For a scoring whose source was listed again: its last generation, and what that found. */
  readonly generation?: GenerationFigures;
  /** For a sorting: its ledger. In `ledger` images in their places are ok, and those below `min` skipped. */
  readonly sorted?: SortLedger;
}

/** A generation of a scoring, from 1: the first one has none. */
export interface GenerationFigures {
  readonly number: number;
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
}

interface PartFigures {
  readonly images: number;
  readonly accuracy: number;
  readonly macroF1: number;
  readonly logLoss: number;
}

export interface ExtractionCounts {
  /** Images that went through the backbones. */
  readonly extracted: number;
  /** Images whose features stood in the store. */
  readonly reused: number;
}

/** What tells whose `_SUCCESS.json` it is. */
const successOwner = z.looseObject({ scoring: z.string() });

/** The result, or undefined as long as it is missing: only the store says whether a run is complete. */
export async function readResult(store: ObjectStore, subject: Subject): Promise<RunResult | undefined> {
  if (subject.kind === "scoring") return readScoringResult(store, subject);
  if (subject.kind === "sorting") return readSortingResult(subject);
  const keys = runKeys(subject.id);
  const manifestKey = `${keys.bundle}/${bundleFiles.manifest}`;
  const body = await readIfThere(store, manifestKey);
  if (body === undefined) return undefined;
  const manifest = parseJsonAs(bundleManifest, body, manifestKey);
  const ledger = parseJsonAs(ledgerSchema, await readPart(store, keys.ledger), keys.ledger);
  const { accuracy, macroF1, logLoss, measured, rows: validationImages, chosenBy } = manifest.metrics;
  const { chosenApart, test } = manifest.metrics;
  const location = locationOf(store.url, keys.bundle);
  const figures = {
    ...{ accuracy, macroF1, logLoss, validationImages, measured },
    ...(chosenBy === "" ? {} : { chosenBy }),
    ...(chosenApart === null ? {} : { chosenApart: partFigures(chosenApart) }),
    ...(test === null ? {} : { test: partFigures(test) }),
  };
  const listing = await readListingOverview(store, subject);
  const untuned = untunedOf(subject.config);
  const foldRuns = foldRunsOf(subject.config);
  return {
    ...{ ledger, location, ...figures, labels: manifest.labels },
    ...(untuned === undefined ? {} : { untuned }),
    ...(foldRuns.length === 0 ? {} : { foldRuns }),
    ...(listing === undefined ? {} : { listing }),
    ...(manifest.contradictions === null ? {} : { contradictions: manifest.contradictions }),
  };
}

function partFigures({ rows, ...figures }: NonNullable<BundleManifest["metrics"]["test"]>): PartFigures {
  return { images: rows, ...figures };
}

async function readScoringResult(
  store: ObjectStore,
  subject: Subject & { readonly kind: "scoring" },
): Promise<RunResult | undefined> {
  const { config } = subject;
  const output = openStore(config.output);
  try {
    const body = await readIfThere(output, outputKeys.success);
    if (body === undefined) return undefined;
    // The prefix may hold another scoring, which is not this one's result.
    if (parseJsonAs(successOwner, body, outputKeys.success).scoring !== config.id) return undefined;
    const success = parseJsonAs(scoringSuccess, body, outputKeys.success);
    // A later generation makes it unfinished, and so does a later retry, even if this file has not been removed yet.
    const last = await readGeneration(store, config.id);
    if ((success.generation?.number ?? 0) !== last.number) return undefined;
    if ((await store.head(last.keys.retry(success.retries))) !== undefined) return undefined;
    const { submission, generation } = success;
    const keys = last.output;
    const listing = await readListingOverview(store, subject);
    return {
      ...(listing === undefined ? {} : { listing }),
      ledger: parseJsonAs(ledgerSchema, await readPart(output, keys.ledger), keys.ledger),
      location: config.output,
      counts: {
        ...(mayBeUnknown(config) ? { unknown: 0 } : {}),
        ...parseJsonAs(scoreCounts, await readPart(output, keys.counts), keys.counts),
      },
      ...(submission === null ? {} : { submission }),
      ...(config.rescoreOf === undefined
        ? {}
        : { differences: await readDifferences(output, keys.differenceCounts) }),
      ...(generation === undefined ? {} : { generation: generationFigures(generation) }),
    };
  } finally {
    output.close();
  }
}

async function readSortingResult(
  subject: Subject & { readonly kind: "sorting" },
): Promise<RunResult | undefined> {
  const into = openStore(subject.config.into);
  try {
    const key = sortedKeys(subject.id).ledger;
    const body = await readIfThere(into, key);
    if (body === undefined) return undefined;
    const sorted = parseJsonAs(sortLedger, body, key);
    const { images, placed, below, unplaced, unplacedByReason, parts } = sorted;
    const ledger: Ledger = {
      ...{ formatVersion: 1, listed: images, ok: placed, failed: unplaced, skipped: below, balanced: true },
      failedByReason: unplacedByReason,
      skippedByReason: below === 0 ? {} : { below },
      shards: parts,
    };
    return { ledger, location: subject.config.into, sorted };
  } finally {
    into.close();
  }
}

async function readDifferences(output: ObjectStore, key: string): Promise<ScoreDifferences> {
  return parseJsonAs(scoreDifferences, await readPart(output, key), key);
}

function generationFigures({
  number,
  added,
  changed,
  removed,
}: NonNullable<ScoringSuccess["generation"]>): GenerationFigures {
  return { number, added, changed, removed };
}

/** @throws TrommelError `corrupt` if a file that belongs to a result is missing */
async function readPart(store: ObjectStore, key: string): Promise<Uint8Array> {
  const body = await readIfThere(store, key);
  if (body !== undefined) return body;
  throw new TrommelError("corrupt", `cannot read ${key}: it belongs to a result and is missing`, {
    context: { key },
  });
}

/** A ledger that does not balance, or a result that cannot be read, is no completion: the next attempt writes it again. */
export async function readResultOrFault(
  store: ObjectStore,
  subject: Subject,
): Promise<{ readonly result: RunResult | undefined; readonly fault: StopReason | undefined }> {
  try {
    return { result: await readResult(store, subject), fault: undefined };
  } catch (thrown) {
    if (!(thrown instanceof TrommelError) || thrown.code !== "corrupt") throw thrown;
    const stage = stagesOf(subject.kind, traitsOf(subject)).at(-1) ?? "";
    const message = `${thrown.message}. 'trommel resume ${subject.id}' adds up and writes it again`;
    return { result: undefined, fault: { code: thrown.code, message, stage } };
  }
}
