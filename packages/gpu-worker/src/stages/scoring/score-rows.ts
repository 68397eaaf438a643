import { stringify } from "csv-stringify/sync";
import type { ScoreRow } from "@trommel/common";

/** Float32 probabilities carry seven digits; more would be noise that looks like precision. */
export function rounded(probability: number): number {
  return Number(probability.toPrecision(7));
}

/** RFC 4180, with `\n` between records. A lone `\r` in a name would end a record for some readers, so it is quoted. */
export const csvOptions = { quoted_match: /\r/ } as const;

/**
 * The row of one image: its labels by falling probability, the earlier label first on a tie.
 * @param probabilities [labels.length]
 */
export function scoreRowOf(
  key: string,
  probabilities: Float32Array,
  labels: readonly string[],
  topK: number,
): ScoreRow {
  const order = [...labels.keys()].sort((a, b) => (probabilities[b] ?? 0) - (probabilities[a] ?? 0) || a - b);
  const top = order.slice(0, topK).map((index) => ({
    label: labels[index] ?? "",
    probability: rounded(probabilities[index] ?? 0),
  }));
  return { key, label: top[0]?.label ?? "", probability: top[0]?.probability ?? 0, top };
}

export function jsonLinesPart(rows: readonly ScoreRow[]): Uint8Array {
  return linesOf(rows);
}

/** A row's likeliest label as ModelArts services answer it: `{"result": label}`, with the key to tell rows apart. */
export function resultPart(rows: readonly ScoreRow[]): Uint8Array {
  return linesOf(rows.map(({ key, label }) => ({ result: label, key })));
}

/** Columns: key, label, probability, then label_2, probability_2 and so on to the top k. With a header in every part. */
export function csvPart(rows: readonly ScoreRow[], topK: number): Uint8Array {
  const header = ["key", "label", "probability"];
  for (let rank = 2; rank <= topK; rank += 1) header.push(`label_${rank}`, `probability_${rank}`);
  const records = rows.map(({ key, top }) => [
    key,
    ...top.flatMap(({ label, probability }) => [label, probability]),
  ]);
  return Buffer.from(stringify([header, ...records], csvOptions), "utf8");
}

function linesOf(values: readonly object[]): Uint8Array {
  return Buffer.from(values.map((value) => `${JSON.stringify(value)}\n`).join(""), "utf8");
}
