import { parquetSchema, type SchemaElement, type SchemaTree } from "hyparquet";
import type { CarriedColumn } from "../artefacts/runs/source-form.js";
import type { ParquetObject } from "./open-parquet.js";

/** What the values of a column are; or, where no score could have them, what they are in a word. */
export type ParquetColumnType = Omit<CarriedColumn, "name"> | { readonly unknown: string };

/** The types of the columns at the top of a Parquet file's schema, by their names. */
export function columnTypesOf({ metadata }: Pick<ParquetObject, "metadata">): Map<string, ParquetColumnType> {
  return new Map(parquetSchema(metadata).children.map((child) => [child.element.name, typeOf(child)]));
}

function typeOf({ element, children }: SchemaTree): ParquetColumnType {
  if (children.length > 0) return { type: "json" };
  if (element.repetition_type === "REPEATED") return { type: "json" };
  return typeByAnnotation(element) ?? typeOfBare(element);
}

/** By what is written besides the physical type; undefined where that says all. */
function typeByAnnotation({
  converted_type: converted,
  logical_type: logical,
  type,
}: SchemaElement): ParquetColumnType | undefined {
  const kind = logical?.type;
  if (converted === "UTF8" || kind === "STRING" || converted === "ENUM" || kind === "ENUM" || kind === "UUID")
    return { type: "text" };
  if (converted === "JSON" || kind === "JSON") return { type: "json" };
  if (converted === "DATE" || kind === "DATE") return { type: "date" };
  if (logical?.type === "TIMESTAMP")
    return instant(logical.unit === "NANOS" ? "ns" : "us", logical.isAdjustedToUTC);
  if (converted === "TIMESTAMP_MILLIS" || converted === "TIMESTAMP_MICROS") return instant("us", true);
  // A column without any value.
  if (kind === "NULL") return { type: "text" };
  if (kind === "FLOAT16") return { type: "number" };
  if (
    converted === "UINT_64" ||
    (logical?.type === "INTEGER" && logical.bitWidth === 64 && !logical.isSigned)
  )
    return { unknown: "unsigned integers of 64 bits" };
  if (kind === "INTEGER" || /^U?INT_/.test(converted ?? "")) return { type: "integer" };
  const name = kind ?? converted;
  return name === undefined || (type === "INT96" && kind === undefined)
    ? undefined
    : { unknown: name.toLowerCase() };
}

function instant(unit: "us" | "ns", utc: boolean): ParquetColumnType {
  return { type: "timestamp", instant: { unit, utc } };
}

function typeOfBare({ type }: SchemaElement): ParquetColumnType {
  switch (type) {
    case "BOOLEAN":
      return { type: "boolean" };
    case "INT32":
    case "INT64":
      return { type: "integer" };
    case "FLOAT":
    case "DOUBLE":
      return { type: "number" };
    // Hive, Impala and early Spark write these.
    case "INT96":
      return instant("ns", true);
    default:
      return { unknown: "bytes" };
  }
}
