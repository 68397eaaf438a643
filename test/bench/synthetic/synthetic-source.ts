import { TrommelError, type ListOptions, type ObjectInfo, type ObjectStore } from "@trommel/common";

/** How many keys there are, spread evenly over how many class folders. */
export interface SyntheticKeys {
  readonly keys: number;
  readonly classes: number;
}

/** As S3 answers: so many keys, then something else may happen. */
const keysPerPage = 1000;

/**
 * A store of generated keys, of 59 bytes each and in order. It lists as a server does, page by page and from any key on;
 * it cannot be written.
 */
export class SyntheticSource implements ObjectStore {
  readonly url = "file:///synthetic/pictures";
  readonly #count: number;
  readonly #perClass: number;

  constructor({ keys, classes }: SyntheticKeys) {
    this.#count = keys;
    this.#perClass = Math.ceil(keys / classes);
  }

  async *list(prefix: string, { startAfter = "" }: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    for (let index = this.#indexAfter(startAfter); index < this.#count; index += 1) {
      const info = this.#infoOf(index);
      if (info.key.startsWith(prefix)) yield info;
      if (index % keysPerPage === keysPerPage - 1) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  head(key: string): Promise<ObjectInfo | undefined> {
    const index = this.#indexOf(key);
    return Promise.resolve(index === undefined ? undefined : this.#infoOf(index));
  }

  /** A few bytes that are the key's own. */
  get(key: string): Promise<Uint8Array> {
    if (this.#indexOf(key) !== undefined) return Promise.resolve(Buffer.from(key, "utf8"));
    return Promise.reject(new TrommelError("not-found", `failed to read ${key}: it is no generated key`));
  }

  put(key: string): Promise<never> {
    return Promise.reject(new TrommelError("forbidden", `failed to write ${key}: the keys are generated`));
  }

  putStream(key: string): Promise<never> {
    return this.put(key);
  }

  copyFrom(_from: ObjectStore, _key: string, as: string): Promise<never> {
    return this.put(as);
  }

  delete(): Promise<never> {
    return Promise.reject(new TrommelError("forbidden", "failed to remove keys: they are generated"));
  }

  sweep(): Promise<{ readonly objects: number; readonly sizeBytes: number }> {
    return Promise.resolve({ objects: 0, sizeBytes: 0 });
  }

  close(): void {}

  #infoOf(index: number): ObjectInfo {
    const label = String(Math.floor(index / this.#perClass)).padStart(5, "0");
    const name = String(index).padStart(40, "0");
    // As long as an MD5, which most servers give.
    return { key: `class-${label}/${name}.jpeg`, sizeBytes: 100_000, etag: name.slice(8) };
  }

  #indexOf(key: string): number | undefined {
    const index = Number(/\/(\d{40})\.jpeg$/.exec(key)?.[1] ?? Number.NaN);
    return index < this.#count && this.#infoOf(index).key === key ? index : undefined;
  }

  #indexAfter(key: string): number {
    if (key === "") return 0;
    const index = this.#indexOf(key);
    if (index === undefined) throw new RangeError(`'${key}' is no generated key to list on after`);
    return index + 1;
  }
}
