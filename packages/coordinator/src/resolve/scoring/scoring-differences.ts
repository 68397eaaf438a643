import { canonicalJson, type ScoringConfig } from "@trommel/common";
import type { SourceForm } from "@trommel/common/artefacts";

/** What decides a scoring, by what a user asks for it with. */
const askedBy = {
  source: "the place of the images",
  from: "--manifest or --archives",
  bundle: "--model",
  topK: "--top",
  formats: "--format",
  shardSize: "--shard-size",
  include: "--include",
  exclude: "--exclude",
  unknownAbove: "--unknown-above",
  minProbability: "--min-probability",
  limit: "--limit",
  sample: "--sample",
  featuresOf: "--features-of",
  rescoreOf: "--rescore",
  embeddings: "--embeddings",
  spreadsheetSafe: "--spreadsheet-safe",
} as const satisfies Partial<Record<keyof ScoringConfig, string>>;

type AskedField = keyof typeof askedBy;

/** The fields in which two scorings differ, each in words with both values. */
export function differencesOf(
  owner: ScoringConfig,
  config: ScoringConfig,
): { readonly field: AskedField; readonly words: string }[] {
  return (Object.keys(askedBy) as AskedField[]).flatMap((field) => {
    const [there, here] = [wordsOf(owner, field), wordsOf(config, field)];
    return there === here ? [] : [{ field, words: `${askedBy[field]} (there ${there}, here ${here})` }];
  });
}

function wordsOf(config: ScoringConfig, field: AskedField): string {
  const { from, bundle, sample, featuresOf, rescoreOf } = config;
  const value: unknown = {
    ...config,
    from: from && wordsOfForm(from),
    bundle: `${bundle.location}, model.onnx ${bundle.modelSha256.slice(0, 12)}`,
    sample: sample && `${sample.images} with the seed ${sample.seed}`,
    featuresOf: featuresOf?.run,
    rescoreOf: rescoreOf?.scoring,
  }[field];
  if (value === undefined) return "none";
  return typeof value === "string" ? value : canonicalJson(value);
}

/** The columns that a manifest carries are no part of what a scoring is. */
function wordsOfForm(from: SourceForm): string {
  const columns = Object.entries({
    keys: from.keyColumn,
    labels: from.labelColumn,
    images: from.type === "archives" ? from.imageColumn : null,
  }).flatMap(([what, column]) => (column === null ? [] : [`, ${what} in ${JSON.stringify(column)}`]));
  const what =
    from.type === "archives"
      ? `the archive ${from.object ?? "of each object"}`
      : `the manifest ${from.location}`;
  return `${what}${columns.join("")}`;
}
