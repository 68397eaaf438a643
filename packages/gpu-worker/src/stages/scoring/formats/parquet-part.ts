import type { ScoredEmbeddings } from "@trommel/common/artefacts";
import type { Scores } from "./scores.js";
import {
  floatColumn,
  labelledColumn,
  listColumn,
  parquetFile,
  parquetFileInGroups,
  rowsPerGroup,
  textColumn,
  vectorColumn,
} from "../../../tables/parquet-file.js";
import { carriedParquetColumns } from "./carried-parquet.js";

/**
 * A part in Parquet: `key`, `label`, `probability`, `top` (a list of label and probability), `probabilities` (of every class, in
 * output order, which the file's metadata `labels` has as JSON), `novelty` if the model tells it, `embedding` if the scoring asks for
 * it, and the carried columns. Probabilities are the model's own float32, which the text formats round to seven digits.
 * @param scores.probabilities [rows, labels]
 */
export async function parquetPart(
  { rows, probabilities, carried }: Scores,
  { labels, modelSha256, novelty, embeddings }: ParquetPartOptions,
): Promise<Uint8Array> {
  const places = new Map(labels.map((label, place) => [label, place]));
  const exact = (row: number, label: string): number =>
    probabilities[row * labels.length + (places.get(label) ?? 0)] ?? 0;
  const top = rows.map((row, at) => row.top.map(({ label }) => ({ label, probability: exact(at, label) })));
  const columns = [
    textColumn(
      "key",
      rows.map(({ key }) => key),
    ),
    textColumn(
      "label",
      rows.map(({ label }) => label),
      { dictionary: true },
    ),
    floatColumn(
      "probability",
      Float32Array.from(top, ([first]) => first?.probability ?? 0),
    ),
    labelledColumn("top", top),
    vectorColumn("probabilities", probabilities, labels.length),
  ];
  if (novelty)
    columns.push(
      floatColumn(
        "novelty",
        Float32Array.from(rows, (row) => row.novelty ?? 0),
      ),
    );
  if (embeddings !== undefined) {
    const vectors = rows.map(({ embedding = [] }) => embedding);
    columns.push(listColumn("embedding", vectors, embeddings.type));
  }
  if (carried !== undefined) columns.push(...carriedParquetColumns(carried));
  const metadata = { labels: JSON.stringify(labels), model_sha256: modelSha256 };
  if (embeddings === undefined) return parquetFile(columns, metadata);
  const named = { ...metadata, embeddings: embeddings.vector };
  // A job's lock has to be renewed between two groups.
  return parquetFileInGroups(columns, named, rowsPerGroup(embeddings.dimension));
}

interface ParquetPartOptions {
  /** In output order. */
  readonly labels: readonly string[];
  readonly modelSha256: string;
  /** Whether the model tells it. */
  readonly novelty: boolean;
  /** Absent if the scoring asks for none. */
  readonly embeddings?: (ScoredEmbeddings & { readonly dimension: number }) | undefined;
}
