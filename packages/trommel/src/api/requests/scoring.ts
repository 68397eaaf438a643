import { resolveLocation, type ScoreFormat, type ScoringConfig } from "@trommel/common";
import { parseFailureLimit, writeFailureLimit } from "@trommel/common/artefacts";
import { resolveScoring, type AskedArchives, type AskedManifest } from "@trommel/coordinator/resolve";
import type { Run, Scoring } from "../../run.js";
import type { Connections } from "../connections.js";
import { modelGiven, placeExpected, textGiven } from "../given.js";
import type { StartOptions } from "../work.js";

/** What `Trommel.score` takes besides images. */
export interface ScoreOptions extends StartOptions {
  /** A finished run, its id, or the location of a bundle. */
  readonly model: Run | string;
  /**
   * A table that lists the images, with keys under the prefix or whole locations. Its other columns are carried into the
   * scores. @default every object under the prefix
   */
  readonly manifest?: AskedManifest | undefined;
  /** Takes the images within the tar, zip and Parquet archives under the prefix. @default if the prefix is one archive */
  readonly archives?: AskedArchives | undefined;
  /** The place of the scores: a folder or `s3://bucket/prefix`. */
  readonly output: string;
  /** Labels of each image. @default 5, or all where the model has fewer */
  readonly topK?: number | undefined;
  /** What is written besides `jsonl`. @default what the model's recipe says */
  readonly formats?: readonly ScoreFormat[] | undefined;
  /**
   * The id of a run whose stored features are scored instead of pictures: `model` has to have the same backbones. No prefix is given
   * then. @default pictures are read
   */
  readonly featuresOf?: string | undefined;
  /**
   * A finished scoring by another model, its id or the location of its output. Its images are scored, as its last generation has them, and
   * the result counts the labels that differ. A prefix need not be given. @default none
   */
  readonly rescore?: Scoring | string | undefined;
  /** Images per shard, at most 4096; not with `featuresOf`, whose run has its own shards. @default 256 */
  readonly shardSize?: number | undefined;
  /** Globs over the keys below the prefix: only what one of them matches is scored. @default all */
  readonly include?: readonly string[] | undefined;
  /** Globs: what one of them matches is left out. @default none */
  readonly exclude?: readonly string[] | undefined;
  /** Labels images `unknown` that are more novel than this share of the training images, such as 0.99. @default none */
  readonly unknownAbove?: number | undefined;
  /**
   * Labels images `unknown` whose largest probability is below this, or with `thresholds` below what the model has for the class.
   * @default none
   */
  readonly minProbability?: number | "thresholds" | undefined;
  /** Scores the first so many images of the listing. @default all */
  readonly limit?: number | undefined;
  /** Scores so many images, drawn by a hash of seed and key. @default all */
  readonly sample?: number | undefined;
  /** Seed of the sample. @default 0 */
  readonly seed?: number | undefined;
  /**
   * Writes a vector into each row of `jsonl` and `parquet`: the backbones' embedding of the image itself (`raw`), or what the heads take
   * of it (`projected`). @default none
   */
  readonly embeddings?: "raw" | "projected" | undefined;
  /** The type of its numbers. @default "f32" */
  readonly embeddingsType?: "f16" | "f32" | undefined;
  /** In CSV, writes texts that a spreadsheet would compute as texts. @default false */
  readonly spreadsheetSafe?: boolean | undefined;
  /** Stops once more images have failed: a number of them, or a percentage of the listing such as `2%`. @default never */
  readonly maxFailures?: number | string | undefined;
}

/** A scoring that is resolved and checked. */
interface RequestedScoring {
  readonly config: ScoringConfig;
  /** Writes it and its limit. */
  readonly claim: () => Promise<void>;
  /** Writes its limit alone: its next generation keeps the scoring as it is, with the columns that its manifest had. */
  readonly claimNext: () => Promise<void>;
}

/** Resolves a scoring. */
export async function resolveScoringRequest(
  { store, options: { folder } }: Connections,
  prefix: string | undefined,
  options: ScoreOptions,
): Promise<RequestedScoring> {
  const { maxFailures, featuresOf, manifest, rescore } = options;
  const limit = maxFailures === undefined ? undefined : parseFailureLimit(maxFailures);
  const locate = (location: string): string => resolveLocation(location, folder);
  const { config, claim } = await resolveScoring({
    store,
    source:
      prefix === undefined && [featuresOf, manifest, rescore].some((given) => given !== undefined)
        ? undefined
        : locate(textGiven(prefix, "score", "prefix", placeExpected)),
    archives: options.archives,
    manifest: manifest && { ...manifest, location: locate(manifest.location) },
    featuresOf,
    rescore: typeof rescore === "object" ? rescore.id : rescore,
    model: modelGiven(options.model, "score"),
    folder,
    output: locate(textGiven(options.output, "score", "output", placeExpected)),
    topK: options.topK,
    formats: options.formats,
    shardSize: options.shardSize,
    patterns: { include: options.include, exclude: options.exclude },
    asked: { unknownAbove: options.unknownAbove, minProbability: options.minProbability },
    part: { limit: options.limit, sample: options.sample, seed: options.seed },
    spreadsheetSafe: options.spreadsheetSafe,
    embeddings: { vector: options.embeddings, type: options.embeddingsType },
  });
  const claimNext = (): Promise<void> => writeFailureLimit(store, config.id, limit);
  return {
    config,
    claim: async () => {
      await claim();
      await claimNext();
    },
    claimNext,
  };
}
