import { z } from "zod";
import { parseHeader, type Header } from "../../codec/safetensors-header.js";
import { encodeSafetensors } from "../../codec/safetensors.js";
import { findMarker, markerSchema } from "../../codec/marker.js";
import type { Tensor } from "../../codec/tensor-dtype.js";
import { TrommelError } from "../../errors.js";
import type { ObjectStore } from "../../store/object-store.js";

/**
 * `predictions.safetensors` of a run with `head: auto`: every out-of-fold prediction, in order of the cells of the confusion matrix.
 * Within a cell those with the highest probability of the predicted class come first, the earlier image on a tie. So a page of a cell
 * is a slice of each tensor, and is read without the rest.
 *
 * `starts` int32 [classes² + 1]: where each cell (true class · classes + predicted class) begins; the last one is the number of images.
 * `shard`, `position` int32 [images]; `probability` float32 [images], the predicted class's.
 */
export interface PredictedRows {
  /** The places of the images in the listing. */
  readonly shard: Int32Array;
  readonly position: Int32Array;
  /** By class. */
  readonly labels: Int32Array;
  readonly predicted: Int32Array;
  readonly probability: ArrayLike<number>;
}

const marker = markerSchema.extend({
  /** In output order. */
  labels: z.array(z.string()).min(2),
});

/** The extra field of the marker. */
export function predictionsMarker(labels: readonly string[]): { readonly labels: string[] } {
  return { labels: [...labels] };
}

/** @param rows in listing order */
export function encodePredictions(rows: PredictedRows, classCount: number): Uint8Array {
  const count = rows.labels.length;
  const cellOf = (row: number): number =>
    (rows.labels[row] as number) * classCount + (rows.predicted[row] as number);
  const starts = new Int32Array(classCount * classCount + 1);
  for (let row = 0; row < count; row += 1) starts[cellOf(row) + 1] = (starts[cellOf(row) + 1] as number) + 1;
  for (let cell = 1; cell < starts.length; cell += 1)
    starts[cell] = (starts[cell] as number) + (starts[cell - 1] as number);
  const probability = (row: number): number => rows.probability[row] as number;
  const order = Int32Array.from({ length: count }, (_, row) => row).sort(
    (a, b) => cellOf(a) - cellOf(b) || probability(b) - probability(a) || a - b,
  );
  const column = (of: Int32Array): Tensor => ({
    ...{ dtype: "I32", shape: [count] },
    data: order.map((row) => of[row] as number),
  });
  return encodeSafetensors({
    tensors: {
      starts: { dtype: "I32", shape: [starts.length], data: starts },
      shard: column(rows.shard),
      position: column(rows.position),
      probability: { dtype: "F32", shape: [count], data: Float32Array.from(order, probability) },
    },
  });
}

/** An image of a cell. */
export interface CellImage {
  readonly shard: number;
  readonly position: number;
  readonly probability: number;
}

/** A page of a cell of the confusion matrix. */
export interface CellPage {
  /** Images of the cell. */
  readonly total: number;
  readonly images: readonly CellImage[];
}

/** The predictions of a run, of which a page is read at a time. */
export class StoredPredictions {
  readonly #store: ObjectStore;
  readonly #key: string;
  readonly #header: Header;
  /** In output order. */
  readonly labels: readonly string[];

  private constructor(store: ObjectStore, key: string, header: Header, labels: readonly string[]) {
    this.#store = store;
    this.#key = key;
    this.#header = header;
    this.labels = labels;
  }

  /** @returns undefined if no predictions were kept: the run is not that far, or an earlier version chose its head */
  static async find(store: ObjectStore, key: string): Promise<StoredPredictions | undefined> {
    const found = await findMarker(store, key, marker);
    if (found === undefined) return undefined;
    const { sizeBytes } = found;
    const length = Math.min(sizeBytes, headerBytesAtMost);
    const start = await store.get(key, { range: { offset: 0, length }, maxBytes: length });
    return new StoredPredictions(store, key, parseHeader(start, key, sizeBytes), found.labels);
  }

  /** @param cell places among the labels: of the true class and of the predicted one */
  async page(
    cell: { readonly label: number; readonly predicted: number },
    { after, limit }: { readonly after: number; readonly limit: number },
  ): Promise<CellPage> {
    const at = cell.label * this.labels.length + cell.predicted;
    const [start = 0, end = 0] = await this.#slice("starts", Int32Array, at, 2);
    const total = end - start;
    const count = Math.max(0, Math.min(limit, total - after));
    if (count === 0) return { total, images: [] };
    const from = start + after;
    const [shard, position, probability] = await Promise.all([
      this.#slice("shard", Int32Array, from, count),
      this.#slice("position", Int32Array, from, count),
      this.#slice("probability", Float32Array, from, count),
    ]);
    const images = Array.from(shard, (of, row) => ({
      ...{ shard: of, position: position[row] as number, probability: probability[row] as number },
    }));
    return { total, images };
  }

  /** Elements of a tensor of one dimension, of four bytes each. */
  async #slice<T>(
    name: string,
    type: new (buffer: ArrayBufferLike) => T,
    from: number,
    count: number,
  ): Promise<T> {
    const entry = this.#header.entries.find((one) => one.name === name);
    if (entry === undefined || entry.end < entry.start + 4 * (from + count))
      throw new TrommelError("corrupt", `cannot read ${this.#key}: its tensor '${name}' is too short`);
    const range = { offset: this.#header.dataStart + entry.start + 4 * from, length: 4 * count };
    const bytes = await this.#store.get(this.#key, { range, maxBytes: range.length });
    // A copy, which is aligned.
    return new type(Uint8Array.from(bytes).buffer);
  }
}

/** Four tensors are named in less. */
const headerBytesAtMost = 4096;
