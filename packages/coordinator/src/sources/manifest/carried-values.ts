import type { CarriedColumn } from "@trommel/common/artefacts";
import type { ParquetColumnType } from "@trommel/common/parquet";

type ColumnType = Omit<CarriedColumn, "name">;

/** Finds what a column holds, from its values or from what its file says. */
export class TypeOfColumn {
  #type: ColumnType | undefined;
  #unknown: string | undefined;

  add(value: unknown): void {
    const found = typeOf(value);
    if (found !== undefined) this.#add({ type: found });
  }

  /** Takes what a file says of the column. */
  declare(type: ParquetColumnType): void {
    if ("unknown" in type) this.#unknown = type.unknown;
    else this.#add(type);
  }

  /** A column without any value is `text`. */
  get type(): ColumnType {
    return this.#type ?? { type: "text" };
  }

  /** What no score could have; undefined if there is nothing of that. */
  get unknown(): string | undefined {
    return this.#unknown;
  }

  #add(type: ColumnType): void {
    this.#type = this.#type === undefined ? type : common(this.#type, type);
  }
}

function typeOf(value: unknown): ColumnType["type"] | undefined {
  if (value === null || value === undefined) return undefined;
  if (typeof value === "bigint") return "integer";
  if (typeof value === "number") return Number.isSafeInteger(value) ? "integer" : "number";
  if (typeof value === "boolean") return "boolean";
  return typeof value === "string" || value instanceof Uint8Array ? "text" : "json";
}

const numeric: ReadonlySet<ColumnType["type"]> = new Set(["integer", "number"]);
const textual: ReadonlySet<ColumnType["type"]> = new Set(["text", "date", "timestamp"]);

function common(a: ColumnType, b: ColumnType): ColumnType {
  if (a.type === b.type && a.instant?.unit === b.instant?.unit && a.instant?.utc === b.instant?.utc) return a;
  if (numeric.has(a.type) && numeric.has(b.type)) return { type: "number" };
  return { type: textual.has(a.type) && textual.has(b.type) ? "text" : "json" };
}

/** A cell's value in JSON: bytes in base64, a whole number beyond 2^53 as its digits; a number that is not finite is null. */
export function carriedValue(value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map(carriedValue);
  if (typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, of]) => [name, carriedValue(of)]));
}
