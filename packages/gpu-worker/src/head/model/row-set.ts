/** Rows of features with a class each. */
export interface RowSet {
  /** [labels.length, features of a row], row-major */
  readonly features: Float32Array;
  readonly labels: Int32Array;
}

/** A copy of the given rows, in that order. */
export function selectRows({ features, labels }: RowSet, rows: readonly number[]): RowSet {
  const width = labels.length === 0 ? 0 : features.length / labels.length;
  const selected = new Float32Array(rows.length * width);
  for (const [at, row] of rows.entries())
    selected.set(features.subarray(row * width, (row + 1) * width), at * width);
  return { features: selected, labels: Int32Array.from(rows, (row) => labels[row] as number) };
}

/** Several sets as one, with consecutive row numbers; only the rows of a batch are copied. */
export class JoinedRows {
  readonly parts: readonly RowSet[];
  /** Features of a row. */
  readonly width: number;
  readonly count: number;

  constructor(parts: readonly RowSet[], width: number) {
    this.parts = parts;
    this.width = width;
    this.count = parts.reduce((sum, { labels }) => sum + labels.length, 0);
  }

  /** Copies the given rows, in that order, into the caller's memory. */
  gatherInto(rows: Int32Array, features: Float32Array, labels: Int32Array): void {
    const width = this.width;
    for (let i = 0; i < rows.length; i += 1) {
      const { part, at } = this.#find(rows[i] as number);
      features.set(part.features.subarray(at * width, (at + 1) * width), i * width);
      labels[i] = part.labels[at] as number;
    }
  }

  /** One row, not a copy. */
  row(row: number): { readonly features: Float32Array; readonly label: number } {
    const { part, at } = this.#find(row);
    const features = part.features.subarray(at * this.width, (at + 1) * this.width);
    return { features, label: part.labels[at] as number };
  }

  /** Rows of each class. */
  classCounts(classCount: number): Float64Array {
    const counts = new Float64Array(classCount);
    for (const { labels } of this.parts) for (const label of labels) counts[label] = (counts[label] ?? 0) + 1;
    return counts;
  }

  /** The row numbers of each class that has rows, in label order. */
  byClass(): number[][] {
    const members: number[][] = [];
    let row = 0;
    for (const { labels } of this.parts) {
      for (const label of labels) {
        (members[label] ??= []).push(row);
        row += 1;
      }
    }
    // Labels without rows are holes of the array.
    return members.filter(() => true);
  }

  #find(row: number): { part: RowSet; at: number } {
    let at = row;
    for (const part of this.parts) {
      if (at < part.labels.length) return { part, at };
      at -= part.labels.length;
    }
    throw new RangeError(`row ${row} of ${this.count}`);
  }
}
