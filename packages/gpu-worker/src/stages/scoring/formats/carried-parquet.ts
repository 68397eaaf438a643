import { TrommelError } from "@trommel/common";
import type { CarriedColumn } from "@trommel/common/artefacts";
import { daysOf, instantOf } from "@trommel/common/parquet";
import { nullableColumn, type NullableType, type ParquetColumn } from "../../../tables/parquet-file.js";
import type { Carried } from "../carried-columns.js";

/**
 * The carried columns in Parquet, with the types that the source has. All are optional, and their schema is that of the
 * scoring: a part without a single value has it too.
 * @throws TrommelError `bad-dataset` for a value that is not of its column's type
 */
export function carriedParquetColumns({ columns, values }: Carried): ParquetColumn[] {
  return columns.map((column, at) =>
    nullableColumn(
      column.name,
      nullableType(column),
      values.map((row) => {
        const value = row[at] ?? null;
        return value === null ? null : (typed(column, value) ?? refuse(column, value));
      }),
    ),
  );
}

/** What is no single value is written as JSON. */
function nullableType({ type, instant }: CarriedColumn): NullableType {
  if (type === "timestamp") return { timestamp: instant?.unit ?? "us", utc: instant?.utc ?? true };
  return type === "json" ? "text" : type;
}

/** @param value not null @returns undefined if it is not of that type */
function typed(
  { type, instant }: CarriedColumn,
  value: unknown,
): string | number | bigint | boolean | undefined {
  switch (type) {
    case "json":
      return JSON.stringify(value);
    case "boolean":
      return typeof value === "boolean" ? value : undefined;
    case "integer":
      return wholeNumber(value);
    case "number":
      return typeof value === "number" ? value : toNumber(value);
    case "date":
      return typeof value === "string" ? daysOf(value) : undefined;
    case "timestamp":
      return typeof value === "string" ? instantOf(value, instant?.unit ?? "us") : undefined;
    case "text":
      return typeof value === "string" ? value : undefined;
  }
}

/** One beyond 2^53 is carried as its digits. */
function wholeNumber(value: unknown): bigint | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  return typeof value === "string" && /^-?\d+$/.test(value) ? BigInt(value) : undefined;
}

/** In a column of integers and other numbers one may be carried as its digits. */
function toNumber(value: unknown): number | undefined {
  const whole = wholeNumber(value);
  return whole === undefined ? undefined : Number(whole);
}

function refuse({ name, type }: CarriedColumn, value: unknown): never {
  throw new TrommelError(
    "bad-dataset",
    `cannot write the column ${JSON.stringify(name)} as Parquet: it holds ${JSON.stringify(value)}, and when the scoring began it was of the type ${type}. Score into another --output`,
    { context: { column: name } },
  );
}
