import { toFloat16 } from "@trommel/common/codec";
import {
  integerColumn,
  ParquetStream,
  rowsPerGroup,
  textColumn,
  vectorColumn,
  type ParquetColumn,
} from "../tables/parquet-file.js";
import { roundedTo } from "../tables/vector-type.js";
import type { FeatureRows, RowNames } from "./feature-rows.js";

/** How the numbers of an export are written. */
export interface FeatureNumbers {
  readonly dimension: number;
  readonly type: "f16" | "f32";
}

const remedy = "Export with --dtype f32";

/** A Parquet file of key, view and embedding. A shard is one row group, or several of a bounded size. */
export async function* parquetFeatures(
  rows: AsyncIterable<FeatureRows>,
  { dimension, type }: FeatureNumbers,
  metadata: Readonly<Record<string, string>>,
): AsyncGenerator<Uint8Array> {
  const columnsOf = ({ keys, views, features }: FeatureRows): ParquetColumn[] => [
    textColumn("key", keys),
    integerColumn("view", Int32Array.from(views)),
    vectorColumn("embedding", roundedTo(type, features, remedy), dimension, { type }),
  ];
  const none = { keys: [], views: new Uint8Array(), features: new Float32Array() };
  const file = new ParquetStream(columnsOf(none), metadata);
  const size = rowsPerGroup(dimension);
  for await (const shard of rows)
    for (let start = 0; start < shard.keys.length; start += size)
      yield file.group(columnsOf(sliceOf(shard, start, start + size, dimension)));
  yield file.end();
}

function sliceOf(
  { keys, views, features }: FeatureRows,
  start: number,
  end: number,
  dimension: number,
): FeatureRows {
  return {
    keys: keys.slice(start, end),
    views: views.subarray(start, end),
    features: features.subarray(start * dimension, end * dimension),
  };
}

/**
 * A numpy array [count, dimension], format 1.0 of numpy.lib.format.
 * @param count rows, which the header says before the first of them
 */
export async function* npyFeatures(
  rows: AsyncIterable<FeatureRows>,
  { dimension, type }: FeatureNumbers,
  count: number,
): AsyncGenerator<Uint8Array> {
  yield npyHeader(type === "f16" ? "<f2" : "<f4", [count, dimension]);
  for await (const { features } of rows) {
    const rounded = roundedTo(type, features, remedy);
    const { buffer, byteOffset, byteLength } = type === "f16" ? toFloat16(rounded) : rounded;
    yield new Uint8Array(buffer, byteOffset, byteLength);
  }
}

function npyHeader(descr: string, shape: readonly number[]): Uint8Array {
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(", ")}), }`;
  const before = 10;
  // The data begins at a multiple of 64 bytes, after a line break.
  const length = Math.ceil((before + text.length + 1) / 64) * 64 - before;
  const header = Buffer.alloc(before + length, " ");
  header.write("\x93NUMPY\x01\x00", 0, "latin1");
  header.writeUInt16LE(length, 8);
  header.write(text, before, "latin1");
  header.write("\n", before + length - 1, "latin1");
  return header;
}

/** A line `{"key", "view"}` for each row. */
export async function* keyLines(rows: AsyncIterable<RowNames>): AsyncGenerator<Uint8Array> {
  for await (const { keys, views } of rows) {
    const lines = keys.map((key, row) => `${JSON.stringify({ key, view: views[row] })}\n`);
    yield Buffer.from(lines.join(""), "utf8");
  }
}
