import { stringify } from "csv-stringify/sync";
import { unknownLabel, type Acceptance } from "@trommel/common/artefacts";
import type { ScoreRow } from "@trommel/common";
import type { Carried } from "../carried-columns.js";

/** Float32 probabilities carry seven digits; more would be noise that looks like precision. */
export function rounded(probability: number): number {
  return Number(probability.toPrecision(7));
}

/** RFC 4180, with `\n` between records. A lone `\r` in a name would end a record for some readers, so it is quoted. */
export const csvOptions = { quoted_match: /\r/ } as const;

/**
 * The row of one image: its labels by falling probability, the earlier label first on a tie. An image that is not accepted has
 * the label `unknown`, and the likeliest ones in `top` all the same.
 * @param image.probabilities [labels.length]
 * @param image.novelty null where the model does not tell
 */
export function scoreRowOf(
  key: string,
  { probabilities, novelty }: { readonly probabilities: Float32Array; readonly novelty: number | null },
  labels: readonly string[],
  { topK, accepts }: { readonly topK: number; readonly accepts: Acceptance },
): ScoreRow {
  const order = [...labels.keys()].sort((a, b) => (probabilities[b] ?? 0) - (probabilities[a] ?? 0) || a - b);
  const top = order.slice(0, topK).map((index) => ({
    label: labels[index] ?? "",
    probability: rounded(probabilities[index] ?? 0),
  }));
  const [first = 0] = order;
  const tooNovel = accepts.novelty !== null && (novelty ?? 0) > accepts.novelty;
  const least = accepts.probability === null ? 0 : (accepts.probability[first] ?? Infinity);
  const isKnown = !tooNovel && (probabilities[first] ?? 0) >= least;
  return {
    key,
    label: isKnown ? (labels[first] ?? "") : unknownLabel,
    probability: rounded(probabilities[first] ?? 0),
    top,
    ...(novelty === null ? {} : { novelty: rounded(novelty) }),
  };
}

/** @param carried fields after those of the scores */
export function jsonLinesPart(rows: readonly ScoreRow[], carried?: Carried): Uint8Array {
  if (carried === undefined) return linesOf(rows);
  const { columns, values } = carried;
  return linesOf(
    rows.map((row, at) => ({
      ...row,
      ...Object.fromEntries(columns.map(({ name }, i) => [name, values[at]?.[i] ?? null])),
    })),
  );
}

/** A row's likeliest label as ModelArts services answer it: `{"result": label}`, with the key to tell rows apart. */
export function resultPart(rows: readonly ScoreRow[]): Uint8Array {
  return linesOf(rows.map(({ key, label, novelty }) => ({ result: label, key, novelty })));
}

/**
 * Columns: key, label, probability, then label_2, probability_2 and so on to the top k; novelty if the model tells it; and
 * likeliest, the label before images became `unknown`, if the scoring asks that. With a header in every part.
 */
export function csvPart(
  rows: readonly ScoreRow[],
  columns: {
    readonly topK: number;
    readonly novelty: boolean;
    readonly likeliest: boolean;
    /** Whether texts that a spreadsheet would compute are written as texts. */
    readonly spreadsheetSafe: boolean;
  },
  carried?: Carried,
): Uint8Array {
  const header = ["key", "label", "probability"];
  for (let rank = 2; rank <= columns.topK; rank += 1) header.push(`label_${rank}`, `probability_${rank}`);
  if (columns.novelty) header.push("novelty");
  if (columns.likeliest) header.push("likeliest");
  header.push(...(carried?.columns ?? []).map(({ name }) => name));
  const records = rows.map(({ key, label, probability, top, novelty }, at) => [
    ...[key, label, probability],
    ...top.slice(1).flatMap((next) => [next.label, next.probability]),
    ...(columns.novelty ? [novelty] : []),
    ...(columns.likeliest ? [top[0]?.label] : []),
    ...(carried?.values[at] ?? []).map(cellOf),
  ]);
  const all = [header, ...records];
  const safe = columns.spreadsheetSafe ? all.map((record) => record.map(spreadsheetText)) : all;
  return Buffer.from(stringify(safe, csvOptions), "utf8");
}

/** A carried value in CSV: booleans as words, lists and objects as JSON. */
function cellOf(value: unknown): string | number | null {
  if (typeof value === "string" || typeof value === "number" || value === null) return value;
  return JSON.stringify(value);
}

/**
 * What a spreadsheet takes for a formula begins with one of these, or their full-width forms (OWASP, "CSV Injection"). An apostrophe
 * before it makes it a text; a text that begins with an apostrophe gets another one, so that nothing is lost.
 */
const computed = /^[=+\-@\t\r\n＝＋－＠']/;

function spreadsheetText<T>(value: T): T | string {
  return typeof value === "string" && computed.test(value) ? `'${value}` : value;
}

function linesOf(values: readonly object[]): Uint8Array {
  return Buffer.from(values.map((value) => `${JSON.stringify(value)}\n`).join(""), "utf8");
}
