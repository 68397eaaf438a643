import {
  parseAs,
  scoreFormat,
  TrommelError,
  type BundleManifest,
  type ScoreFormat,
  type ScoringConfig,
} from "@trommel/common";
import { servedEmbedding, type ScoredEmbeddings } from "@trommel/common/artefacts";
import { keyPatterns, type AskedPatterns } from "@trommel/common/recipe";

/** What is asked of a scoring, as its configuration has it: absent where nothing is asked, since its id comes from all of it. */

/** @throws TrommelError `invalid-argument` for an illegal pattern */
export function patternsOf(given: AskedPatterns): Pick<ScoringConfig, "include" | "exclude"> {
  const parse = (of: AskedPatterns["include"], flag: string): string[] =>
    parseAs(keyPatterns, of ?? [], `the patterns of ${flag}`);
  const [include, exclude] = [parse(given.include, "--include"), parse(given.exclude, "--exclude")];
  return { ...(include.length === 0 ? {} : { include }), ...(exclude.length === 0 ? {} : { exclude }) };
}

/** A part of a listing: its first images, or a sample of them. */
export interface AskedPart {
  readonly limit?: number | undefined;
  /** So many images, drawn by a hash of (seed, key). */
  readonly sample?: number | undefined;
  /** @default 0 */
  readonly seed?: number | undefined;
}

/** @throws TrommelError `invalid-argument` for both, or a seed without a sample */
export function partOf({ limit, sample, seed }: AskedPart): Pick<ScoringConfig, "limit" | "sample"> {
  if (limit !== undefined && sample !== undefined) {
    throw new TrommelError(
      "invalid-argument",
      `cannot score the first ${limit} images (--limit) and a sample of ${sample} (--sample): a scoring has one part. Give one of them`,
    );
  }
  if (seed !== undefined && sample === undefined) {
    throw new TrommelError(
      "invalid-argument",
      `cannot use --seed ${seed}: it draws a --sample, and none is asked for. Give --sample, or leave it out`,
    );
  }
  return {
    ...(limit === undefined ? {} : { limit }),
    ...(sample === undefined ? {} : { sample: { images: sample, seed: seed ?? 0 } }),
  };
}

export function safetyOf(
  asked: boolean | undefined,
  formats: readonly ScoreFormat[],
): Pick<ScoringConfig, "spreadsheetSafe"> {
  if (asked !== true) return {};
  if (formats.includes("csv")) return { spreadsheetSafe: true };
  throw new TrommelError(
    "invalid-argument",
    "cannot use --spreadsheet-safe: it is about CSV, and this scoring writes none. Add --format csv, or leave it out",
  );
}

/** A part is written and checked whole: some 100 MiB of JSON lines. */
const numbersPerPart = 2 ** 23;

/** The embeddings that are asked for. */
export interface AskedEmbeddings {
  /** @default none */
  readonly vector?: ScoredEmbeddings["vector"] | undefined;
  /** @default "f32" */
  readonly type?: ScoredEmbeddings["type"] | undefined;
}

/** @throws TrommelError `invalid-argument` with CSV, for a type without a vector, and for parts that would be too large; `unsupported` for what the model does not have */
export function embeddingsOf(
  { vector, type }: AskedEmbeddings,
  {
    formats,
    shardSize,
    featuresOf,
    manifest,
  }: {
    readonly formats: readonly ScoreFormat[];
    readonly shardSize: number;
    /** The run whose shards are scored: their size is the run's. */
    readonly featuresOf: string | undefined;
    readonly manifest: BundleManifest;
  },
): Pick<ScoringConfig, "embeddings"> {
  if (vector === undefined) {
    if (type === undefined) return {};
    throw new TrommelError(
      "invalid-argument",
      `cannot use --embeddings-type ${type}: it is the type of --embeddings, and none are asked for. Give --embeddings raw or projected, or leave it out`,
    );
  }
  if (formats.includes("csv")) {
    throw new TrommelError(
      "invalid-argument",
      `cannot write the ${vector} embeddings into CSV: they are lists of numbers. Leave csv out of --format; jsonl and parquet have them`,
    );
  }
  const { dimension } = servedEmbedding(manifest, { vector });
  if (dimension * shardSize > numbersPerPart) {
    const advice = `--shard-size ${Math.floor(numbersPerPart / dimension)} or less`;
    throw new TrommelError(
      "invalid-argument",
      `cannot write embeddings of ${dimension} numbers into parts of ${shardSize} images: a part holds at most ${numbersPerPart} numbers. ` +
        (featuresOf === undefined
          ? `Give ${advice}`
          : `The run ${featuresOf} has stored its features in shards of that size: leave --features-of out and score its pictures with ${advice}, or leave --embeddings out ('trommel features export' writes the raw ones)`),
    );
  }
  return { embeddings: { vector, type: type ?? "f32" } };
}

/** In the schema's order and each once, so that however they are asked for they give the same scoring. */
export function chooseFormats(asked: readonly ScoreFormat[]): ScoreFormat[] {
  return scoreFormat.options.filter((format) => format === "jsonl" || asked.includes(format));
}
