import { openStore } from "@trommel/common";

/** A prefix of pictures that a scoring finds changed when it is given a second time. */
export class ChangingSource {
  readonly #location: string;
  readonly #files: ReadonlyMap<string, Uint8Array>;
  readonly #added = new Map<string, Uint8Array>();
  readonly #touched = new Map<string, Uint8Array>();
  readonly #removed: readonly string[];

  /** @param files what the prefix holds: at least 24 of them */
  constructor(location: string, files: ReadonlyMap<string, Uint8Array>) {
    this.#location = location;
    this.#files = files;
    const keys = [...files.keys()].sort();
    const at = (index: number): string => keys[index] ?? "";
    // The bytes of other pictures, which have other answers.
    const bytesAt = (index: number): Uint8Array => files.get(at(index)) ?? new Uint8Array();
    for (let number = 0; number < 7; number += 1) this.#added.set(`new/${number}.png`, bytesAt(number));
    for (const number of [8, 15, 16]) this.#touched.set(at(number), bytesAt(number + 1));
    this.#removed = [at(20), at(23)];
  }

  /** Keys once it is changed. */
  get changedKeys(): string[] {
    return [...this.#files.keys(), ...this.#added.keys()].filter((key) => !this.#removed.includes(key));
  }

  async change(): Promise<void> {
    const store = openStore(this.#location);
    for (const [key, bytes] of [...this.#added, ...this.#touched]) await store.put(key, bytes);
    await store.delete(this.#removed);
    store.close();
  }

  async restore(): Promise<void> {
    const store = openStore(this.#location);
    for (const key of [...this.#touched.keys(), ...this.#removed])
      await store.put(key, this.#files.get(key) ?? new Uint8Array());
    await store.delete([...this.#added.keys()]);
    store.close();
  }
}
