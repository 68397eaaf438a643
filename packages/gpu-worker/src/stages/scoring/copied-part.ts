import {
  readWithMarker,
  TrommelError,
  type BundleManifest,
  type FailedImage,
  type ObjectStore,
  type ScoringConfig,
  type Shard,
} from "@trommel/common";
import { generationOutput, scoreRow } from "@trommel/common/artefacts";
import { isDamage, unlessMissing } from "@trommel/common/codec";
import { parseJsonLines } from "@trommel/common/parse";
import { parse } from "csv-parse/sync";
import { parquetReadObjects } from "hyparquet";
import type { Scores } from "./formats/scores.js";
import { scorePartMarker } from "./score-part.js";

/**
 * What a later generation keeps of an earlier part: its rows as they are, and what is said of its failed images.
 * @returns undefined where the part is damaged: no job of this generation makes it again, so that its images are scored
 * @throws TrommelError `corrupt` where it is not the one that the shard means
 */
export async function readCopied(
  ...part: Parameters<typeof copyRows>
): Promise<Awaited<ReturnType<typeof copyRows>> | undefined> {
  try {
    return await unlessMissing(copyRows(...part));
  } catch (thrown) {
    if (isDamage(thrown)) return undefined;
    throw thrown;
  }
}

async function copyRows(
  output: ObjectStore,
  config: ScoringConfig,
  { labels }: BundleManifest,
  shard: Shard & { readonly copied: NonNullable<Shard["copied"]> },
): Promise<{ scores: Scores; failed: FailedImage[] }> {
  const { generation, shard: index, positions } = shard.copied;
  const keyOf = generationOutput(generation).part;
  const key = keyOf(index, "jsonl");
  const { bytes, marker } = await readWithMarker(output, key, scorePartMarker);
  const rows = parseJsonLines(scoreRow, bytes, key);
  const probabilities = await readProbabilities(output, config, labels, (format) => keyOf(index, format));
  const failedAt = new Map(marker.failed.map((image) => [image.position, image]));
  const failed: FailedImage[] = [];
  const kept: number[] = [];
  let before = 0;
  let row = 0;
  for (const [position, at] of positions.entries()) {
    // Rows are those of the images before it that did not fail.
    for (; before < at; before += 1) if (!failedAt.has(before)) row += 1;
    const image = failedAt.get(at);
    const found = image?.key ?? rows[row]?.key;
    if (found !== shard.entries[position]?.key) throw otherPart(key, shard, position, found);
    if (image === undefined) kept.push(row);
    else failed.push({ ...image, position });
  }
  const width = probabilities.length === 0 ? 0 : labels.length;
  const copied = new Float32Array(kept.length * width);
  for (const [i, from] of kept.entries())
    copied.set(probabilities.subarray(from * width, (from + 1) * width), i * width);
  return {
    scores: { rows: kept.flatMap((from) => rows[from] ?? []), probabilities: copied },
    failed,
  };
}

/** The probabilities of every class, from the format that has them; the text's seven digits give the same text again. Empty without such a format. */
async function readProbabilities(
  output: ObjectStore,
  { formats }: ScoringConfig,
  labels: readonly string[],
  keyOf: (format: "parquet" | "kaggle") => string,
): Promise<Float32Array> {
  if (formats.includes("parquet")) {
    const { bytes } = await readWithMarker(output, keyOf("parquet"));
    const file = new Uint8Array(bytes).buffer;
    const rows = await parquetReadObjects({ file, columns: ["probabilities"] });
    return Float32Array.from(rows.flatMap((row) => row["probabilities"] as number[]));
  }
  if (!formats.includes("kaggle")) return new Float32Array();
  const { bytes } = await readWithMarker(output, keyOf("kaggle"));
  const records: string[][] = parse(Buffer.from(bytes), { from: 2 });
  return Float32Array.from(records.flatMap((record) => record.slice(1, 1 + labels.length).map(Number)));
}

function otherPart(key: string, shard: Shard, position: number, found: string | undefined): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot copy ${key}: it has ${JSON.stringify(found ?? null)} where ${JSON.stringify(shard.entries[position]?.key)} was. Score into another --output`,
    { context: { key, shard: shard.index } },
  );
}
