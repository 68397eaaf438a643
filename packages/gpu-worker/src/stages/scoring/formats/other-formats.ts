import {
  writeWithMarker,
  type BundleManifest,
  type ObjectStore,
  type ScoreFormat,
  type ScoreRow,
  type ScoringConfig,
} from "@trommel/common";
import { mayBeUnknown, servedEmbedding } from "@trommel/common/artefacts";
import { commitOnce } from "../../inputs/commit-once.js";
import { kaggleHeader, kaggleRecords } from "./kaggle-rows.js";
import { parquetPart } from "./parquet-part.js";
import type { Scores } from "./scores.js";
import { csvPart, resultPart } from "./score-rows.js";

/** The content type of a part's file. */
export const contentTypes: Readonly<Record<ScoreFormat, string>> = {
  jsonl: "application/jsonl",
  result: "application/jsonl",
  csv: "text/csv",
  kaggle: "text/csv",
  parquet: "application/vnd.apache.parquet",
};

/**
 * Writes a part in every format but the JSON lines. Each has its own marker: after the first of them nothing else says yet that the
 * shard is scored.
 */
export async function commitOtherFormats(
  output: ObjectStore,
  keyOf: (format: ScoreFormat) => string,
  config: ScoringConfig,
  manifest: BundleManifest,
  scores: Scores,
): Promise<void> {
  const { rows, probabilities, carried } = scores;
  const { labels } = manifest;
  const novelty = manifest.novelty !== null;
  const { modelSha256 } = config.bundle;
  const encode = {
    csv: () =>
      csvPart(
        rows,
        {
          ...{ topK: config.topK, novelty, likeliest: mayBeUnknown(config) },
          spreadsheetSafe: config.spreadsheetSafe === true,
        },
        carried,
      ),
    result: () => resultPart(rows),
    kaggle: () => kagglePart(rows, probabilities, labels),
    parquet: () =>
      parquetPart(scores, {
        ...{ labels, modelSha256, novelty },
        embeddings: config.embeddings && {
          ...config.embeddings,
          dimension: servedEmbedding(manifest, config.embeddings).dimension,
        },
      }),
  };
  for (const format of config.formats) {
    if (format === "jsonl") continue;
    const key = keyOf(format);
    const contentType = contentTypes[format];
    await commitOnce(async () =>
      writeWithMarker(output, key, await encode[format](), { ok: rows.length }, { contentType }),
    );
  }
}

function kagglePart(
  rows: readonly ScoreRow[],
  probabilities: Float32Array,
  labels: readonly string[],
): Uint8Array {
  const keys = rows.map(({ key }) => key);
  const records = kaggleRecords(keys, probabilities, labels.length);
  return Buffer.from(kaggleHeader(labels) + records, "utf8");
}
