/** Finds hashes that occur more than once, in eight bytes each: a rare other hash may be taken for one of them. */
export class RepeatedHashes {
  #values = new Float64Array(1024);
  #count = 0;

  /** @param hash hexadecimal, 13 digits at least */
  add(hash: string): void {
    if (this.#count === this.#values.length) {
      const values = new Float64Array(2 * this.#count);
      values.set(this.#values);
      this.#values = values;
    }
    this.#values[this.#count] = numberOf(hash);
    this.#count += 1;
  }

  /** @returns whether a hash is one of those; undefined if none is */
  find(): ((hash: string) => boolean) | undefined {
    const sorted = this.#values.subarray(0, this.#count).sort();
    const repeated = new Set<number>();
    for (let at = 1; at < sorted.length; at += 1)
      if (sorted[at] === sorted[at - 1]) repeated.add(sorted[at] as number);
    if (repeated.size === 0) return undefined;
    return (hash) => repeated.has(numberOf(hash));
  }
}

/** The first 52 bits, which a double holds exactly. */
function numberOf(hash: string): number {
  return Number.parseInt(hash.slice(0, 13), 16);
}
