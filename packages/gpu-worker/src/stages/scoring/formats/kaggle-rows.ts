import { stringify } from "csv-stringify/sync";
import { csvOptions, rounded } from "./score-rows.js";

/**
 * Kaggle's submission: `id,<classes in output order>`, a row per image with its probability of every class. The id is
 * the image's key without its extension, by a rule that looks at nothing but the key, so that it depends on no shard.
 */

/** The key up to the last dot of its last segment, or all of it where that segment has none after its first character. */
export function kaggleId(key: string): string {
  const dot = key.lastIndexOf(".");
  return dot > key.lastIndexOf("/") + 1 ? key.slice(0, dot) : key;
}

export function kaggleHeader(labels: readonly string[]): string {
  return stringify([["id", ...labels]], csvOptions);
}

/** @param probabilities [keys.length, classCount], row-major */
export function kaggleRecords(
  keys: readonly string[],
  probabilities: Float32Array,
  classCount: number,
): string {
  const records = keys.map((key, i) => [
    kaggleId(key),
    ...Array.from(probabilities.subarray(i * classCount, (i + 1) * classCount), rounded),
  ]);
  return stringify(records, csvOptions);
}

/** How many repeated ids are kept to be shown; all are counted. */
const shownAtMost = 3;

/**
 * Finds ids that two keys share, from keys in UTF-8 byte order. All keys that begin with an id stand together in that
 * order, and the keys of an id are among them: an id may be forgotten at the first key that does not begin with it. So
 * what is remembered is one chain of prefixes, however many keys there are. Keys in any other order are remembered by their ids.
 */
export class RepeatedIds {
  readonly #byId: Map<string, string> | undefined;
  readonly #open: { readonly id: string; readonly key: string }[] = [];
  readonly #shown: string[] = [];
  #count = 0;

  /** @param options.inOrder whether keys come in UTF-8 byte order. @default true */
  constructor({ inOrder = true } = {}) {
    this.#byId = inOrder ? undefined : new Map();
  }

  add(key: string): void {
    if (this.#byId === undefined) this.#addInOrder(key);
    else this.#addTo(this.#byId, key);
  }

  #addTo(byId: Map<string, string>, key: string): void {
    const id = kaggleId(key);
    const earlier = byId.get(id);
    if (earlier === undefined) byId.set(id, key);
    else this.#note(earlier, key);
  }

  #addInOrder(key: string): void {
    while (this.#open.length > 0 && !key.startsWith(this.#open.at(-1)?.id ?? "")) this.#open.pop();
    const id = kaggleId(key);
    const earlier = this.#open.find((open) => open.id === id);
    if (earlier === undefined) {
      this.#open.push({ id, key });
      return;
    }
    this.#note(earlier.key, key);
  }

  #note(earlier: string, key: string): void {
    this.#count += 1;
    if (this.#shown.length < shownAtMost) this.#shown.push(`${earlier} and ${key}`);
  }

  /** Keys whose id an earlier one has. */
  get count(): number {
    return this.#count;
  }

  /** The first pairs, for a message. */
  get shown(): readonly string[] {
    return this.#shown;
  }
}
