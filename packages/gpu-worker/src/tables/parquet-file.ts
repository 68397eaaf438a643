import { setImmediate } from "node:timers/promises";
import {
  ByteWriter,
  parquetWriteBuffer,
  ParquetWriter,
  type ColumnSource,
  type SchemaElement,
} from "hyparquet-writer";

/** A column of a Parquet file: how its schema is written, and its values. Columns are required unless they say otherwise. */
export interface ParquetColumn {
  readonly schema: readonly SchemaElement[];
  readonly source: ColumnSource;
}

/**
 * A Parquet file of one row group, compressed with Snappy. The same columns give the same bytes: nothing names the time, the machine or
 * the version of the writer.
 * @param metadata key-value metadata of the file
 */
export function parquetFile(
  columns: readonly ParquetColumn[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const rows = columns[0]?.source.data.length ?? 0;
  const buffer = parquetWriteBuffer({
    ...fileOptions(columns, metadata),
    columnData: columns.map((column) => column.source),
    // One group, of no rows as well.
    rowGroupSize: Math.max(1, rows),
  });
  return new Uint8Array(buffer);
}

/** Numbers of vectors in a row group: writing them takes up to a second (float16) and some 50 MB. */
const numbersPerGroup = 2 ** 19;

/** Rows of a row group with vectors of so many numbers. */
export function rowsPerGroup(dimension: number): number {
  return Math.max(1, Math.floor(numbersPerGroup / dimension));
}

/** As {@link parquetFile}, in row groups of so many rows. The event loop has its turn after each of them: vectors take long. */
export async function parquetFileInGroups(
  columns: readonly ParquetColumn[],
  metadata: Readonly<Record<string, string>>,
  rowGroupSize: number,
): Promise<Uint8Array> {
  const file = new ParquetStream(columns, metadata);
  const rows = columns[0]?.source.data.length ?? 0;
  const chunks: Uint8Array[] = [];
  for (let start = 0; start < rows; start += rowGroupSize) {
    chunks.push(file.group(columns.map((column) => rowsOf(column, start, start + rowGroupSize))));
    await setImmediate();
  }
  return Buffer.concat([...chunks, file.end()]);
}

function rowsOf({ schema, source }: ParquetColumn, start: number, end: number): ParquetColumn {
  return { schema, source: { ...source, data: source.data.slice(start, end) } };
}

/** A Parquet file whose row groups are written one after another, with only the last of them in memory. */
export class ParquetStream {
  readonly #bytes = new ByteWriter();
  readonly #writer: ParquetWriter;

  /** @param columns their schema: no row of theirs is written @param metadata as for {@link parquetFile} */
  constructor(columns: readonly ParquetColumn[], metadata: Readonly<Record<string, string>>) {
    this.#writer = new ParquetWriter({ writer: this.#bytes, ...fileOptions(columns, metadata) });
  }

  /** @param columns with the same schema, of at least one row @returns the bytes that come next */
  group(columns: readonly ParquetColumn[]): Uint8Array {
    const rows = columns[0]?.source.data.length ?? 0;
    void this.#writer.write({ columnData: columns.map((column) => column.source), rowGroupSize: rows });
    return this.#take();
  }

  /** @returns the last bytes of the file */
  end(): Uint8Array {
    void this.#writer.finish();
    return this.#take();
  }

  #take(): Uint8Array {
    const bytes = this.#bytes.getBytes().slice();
    this.#bytes.index = 0;
    return bytes;
  }
}

function fileOptions(columns: readonly ParquetColumn[], metadata: Readonly<Record<string, string>>) {
  return {
    schema: [{ name: "schema", num_children: columns.length }, ...columns.flatMap((column) => column.schema)],
    // Keys of one prefix begin alike, so that cut ones would tell no group from another.
    statisticsTruncateLength: Infinity,
    kvMetadata: Object.entries(metadata).map(([key, value]) => ({ key, value })),
    createdBy: "trommel",
  };
}

/** How a column of single values that may be null is written. */
export type NullableType =
  | "text"
  | "integer"
  | "number"
  | "boolean"
  | "date"
  | { readonly timestamp: "us" | "ns"; readonly utc: boolean };

/**
 * A column of single values, some of them null, with the same schema whatever they are.
 * @param data texts, bigints for integers and for counts since 1970 in the timestamp's unit, numbers, booleans, days since 1970
 */
export function nullableColumn(
  name: string,
  type: NullableType,
  data: readonly (string | number | bigint | boolean | null)[],
): ParquetColumn {
  return {
    schema: [{ name, ...elementOf(type), repetition_type: "OPTIONAL" }],
    source: { name, data: [...data] },
  };
}

function elementOf(type: NullableType): Omit<SchemaElement, "name"> {
  if (typeof type === "object") {
    const unit = type.timestamp === "us" ? "MICROS" : "NANOS";
    return { type: "INT64", logical_type: { type: "TIMESTAMP", isAdjustedToUTC: type.utc, unit } };
  }
  switch (type) {
    case "text":
      return text;
    case "integer":
      return { type: "INT64" };
    case "number":
      return { type: "DOUBLE" };
    case "boolean":
      return { type: "BOOLEAN" };
    case "date":
      return { type: "INT32", converted_type: "DATE", logical_type: { type: "DATE" } };
  }
}

const required = { repetition_type: "REQUIRED" } as const;
const text = { type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" } } as const;

/** @param options.dictionary stores each distinct text once; elsewhere the writer decides */
export function textColumn(
  name: string,
  data: readonly string[],
  { dictionary = false } = {},
): ParquetColumn {
  const encoding = dictionary ? ({ encoding: "RLE_DICTIONARY" } as const) : {};
  return { schema: [{ name, ...text, ...required }], source: { name, data: [...data], ...encoding } };
}

export function floatColumn(name: string, data: Float32Array): ParquetColumn {
  return { schema: [{ name, type: "FLOAT", ...required }], source: { name, data } };
}

export function integerColumn(name: string, data: Int32Array): ParquetColumn {
  return { schema: [{ name, type: "INT32", ...required }], source: { name, data } };
}

/** A list of floats a row, the same number in each. @param values [rows, width] */
export function vectorColumn(
  name: string,
  values: Float32Array,
  width: number,
  { type = "f32" }: { readonly type?: "f16" | "f32" } = {},
): ParquetColumn {
  const data = Array.from({ length: values.length / width }, (_, row) =>
    Array.from(values.subarray(row * width, (row + 1) * width)),
  );
  return listColumn(name, data, type);
}

/** A list of floats a row. @param data numbers that the type has, or that are rounded to it */
export function listColumn(name: string, data: number[][], type: "f16" | "f32"): ParquetColumn {
  const element = type === "f16" ? float16 : ({ type: "FLOAT" } as const);
  return {
    schema: listSchema(name, [{ name: "element", ...element, ...required }]),
    // Numbers of networks neither repeat nor compress, and their range says nothing.
    source: { name, data, encoding: "PLAIN", codec: "UNCOMPRESSED", statistics: false },
  };
}

const float16 = { type: "FIXED_LEN_BYTE_ARRAY", type_length: 2, logical_type: { type: "FLOAT16" } } as const;

/** A list of `{label, probability}` a row. */
export function labelledColumn(
  name: string,
  data: readonly (readonly { readonly label: string; readonly probability: number }[])[],
): ParquetColumn {
  return {
    schema: listSchema(name, [
      { name: "element", ...required, num_children: 2 },
      { name: "label", ...text, ...required },
      { name: "probability", type: "FLOAT", ...required },
    ]),
    source: { name, data: data.map((row) => [...row]) },
  };
}

/** The three levels of the format's LIST. */
function listSchema(name: string, element: readonly SchemaElement[]): SchemaElement[] {
  return [
    { name, converted_type: "LIST", logical_type: { type: "LIST" }, ...required, num_children: 1 },
    { name: "list", repetition_type: "REPEATED", num_children: 1 },
    ...element,
  ];
}
