import { canonicalJson, compareUtf8, sha256Hex, type ObjectStore, type RunConfig } from "@trommel/common";
import { parseSealedAs, putJsonOnce, sealedJson } from "@trommel/common/codec";
import { testShare } from "@trommel/common/recipe";
import { readBounds } from "@trommel/common/store";
import { z } from "zod";

/**
 * The images that validated in earlier runs on a dataset, or that were tested on, so that no image leaves its part as the dataset
 * grows.
 *
 * `splits/<hash of dataset, seed and share>/<run>/<n>.json` hold the keys of a run's part in UTF-8 byte order, a
 * fixed number in each. A listing comes in the same order: both are read in step, and neither is held whole.
 */

const keysPerFile = 10_000;

/** An earlier form, with all keys of a run in one file, also has `seed` and `fraction`. */
const rememberedFile = z.object({ validation: z.array(z.string()) });

export class SplitMemory {
  readonly #store: ObjectStore;
  readonly #root: string;
  readonly #run: string;

  constructor(
    store: ObjectStore,
    { id, dataset, recipe }: RunConfig,
    part: "validation" | "test" = "validation",
  ) {
    const { fraction, of } = recipe.validation;
    const { test } = recipe.split;
    this.#store = store;
    // Labels are not part of it: an image that validated stays out of training when it is relabelled.
    const which = {
      ...{ dataset, seed: recipe.seed, fraction, of },
      ...(test === null ? {} : { test: testShare(recipe.split) ?? "listed" }),
      ...(part === "test" ? { part } : {}),
    };
    this.#root = `splits/${sha256Hex(canonicalJson(which))}/`;
    this.#run = id;
  }

  /** The keys that all earlier runs have written. @param anyOrder whether they are looked up in another order than theirs */
  async read(anyOrder = false): Promise<RememberedKeys> {
    const filesByRun = new Map<string, string[]>();
    for await (const { key } of this.#store.list(this.#root)) {
      const run = key.slice(this.#root.length).replace(/(\/\d+)?\.json$/, "");
      const files = filesByRun.get(run);
      if (files === undefined) filesByRun.set(run, [key]);
      else files.push(key);
    }
    const cursors = [...filesByRun.values()].map((files) => new KeyCursor(this.#store, files));
    if (!anyOrder) return new KeysInOrder(cursors);
    const all = new Set<string>();
    for (const cursor of cursors) for await (const key of cursor.rest()) all.add(key);
    return { has: (key) => Promise.resolve(all.has(key)) };
  }

  /** @param keys the keys of the run's split, ascending if the run's source is in the order of keys; not read if all of them are already written */
  async write(keys: AsyncIterable<string>, count: number): Promise<void> {
    if (count === 0) return;
    const lastFile = Math.ceil(count / keysPerFile) - 1;
    if ((await this.#store.head(this.#file(lastFile))) !== undefined) return;
    let waiting: string[] = [];
    let file = 0;
    for await (const key of keys) {
      waiting.push(key);
      if (waiting.length < keysPerFile) continue;
      await this.#put(file, waiting);
      file += 1;
      waiting = [];
    }
    if (waiting.length > 0) await this.#put(file, waiting);
  }

  #file(index: number): string {
    return `${this.#root}${this.#run}/${String(index).padStart(5, "0")}.json`;
  }

  async #put(index: number, validation: readonly string[]): Promise<void> {
    const body = sealedJson({ formatVersion: 1, validation });
    await putJsonOnce(this.#store, this.#file(index), body);
  }
}

export interface RememberedKeys {
  has(key: string): Promise<boolean>;
}

/** Looks up keys, which must be asked for in ascending order. */
class KeysInOrder implements RememberedKeys {
  readonly #cursors: readonly KeyCursor[];

  constructor(cursors: readonly KeyCursor[]) {
    this.#cursors = cursors;
  }

  async has(key: string): Promise<boolean> {
    let found = false;
    for (const cursor of this.#cursors) {
      if (await cursor.reaches(key)) found = true;
    }
    return found;
  }
}

/** Reads the keys of one run, a file at a time. */
class KeyCursor {
  readonly #store: ObjectStore;
  readonly #files: readonly string[];
  #nextFile = 0;
  #keys: readonly string[] = [];
  #at = 0;

  constructor(store: ObjectStore, files: readonly string[]) {
    this.#store = store;
    this.#files = files;
  }

  /** Advances to the first key that is not before this one. @returns whether it is this one */
  async reaches(key: string): Promise<boolean> {
    for (;;) {
      const here = this.#keys[this.#at];
      if (here === key) return true;
      if (here === undefined) {
        if (!(await this.#readOn())) return false;
      } else if (compareUtf8(here, key) > 0) return false;
      else this.#at += 1;
    }
  }

  /** Every key from here on. */
  async *rest(): AsyncGenerator<string> {
    while (await this.#readOn()) yield* this.#keys;
  }

  async #readOn(): Promise<boolean> {
    const file = this.#files[this.#nextFile];
    if (file === undefined) return false;
    this.#keys = parseSealedAs(
      rememberedFile,
      await this.#store.get(file, readBounds.dataset),
      file,
    ).validation;
    this.#nextFile += 1;
    this.#at = 0;
    return true;
  }
}
