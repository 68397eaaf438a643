import type { CarriedColumn } from "@trommel/common/artefacts";

type ColumnType = CarriedColumn["type"];

/** Finds what a column holds from its values. */
export class TypeOfColumn {
  #type: ColumnType | undefined;

  add(value: unknown): void {
    const found = typeOf(value);
    if (found !== undefined) this.#type = this.#type === undefined ? found : common(this.#type, found);
  }

  /** A column without any value is `text`. */
  get type(): ColumnType {
    return this.#type ?? "text";
  }
}

function typeOf(value: unknown): ColumnType | undefined {
  if (value === null || value === undefined) return undefined;
  if (typeof value === "bigint") return "integer";
  if (typeof value === "number") return Number.isSafeInteger(value) ? "integer" : "number";
  if (typeof value === "boolean") return "boolean";
  return typeof value === "string" || value instanceof Date || value instanceof Uint8Array ? "text" : "json";
}

function common(a: ColumnType, b: ColumnType): ColumnType {
  if (a === b) return a;
  const isNumeric = (type: ColumnType): boolean => type === "integer" || type === "number";
  return isNumeric(a) && isNumeric(b) ? "number" : "json";
}

/** A cell's value in JSON: a date as its ISO text, bytes in base64, a whole number beyond 2^53 as its digits. */
export function carriedValue(value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map(carriedValue);
  if (typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, of]) => [name, carriedValue(of)]));
}
