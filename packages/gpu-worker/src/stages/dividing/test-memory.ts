import { canonicalJson, sha256Hex, type ObjectStore, type RunConfig } from "@trommel/common";
import { parseSealedAs, putJsonOnce, sealedJson } from "@trommel/common/codec";
import { readBounds } from "@trommel/common/store";
import { z } from "zod";

/**
 * The test parts of earlier runs on a dataset, so that no image of one is trained on later, nor a copy of it or a member of its
 * group: `splits/<hash of dataset, seed and share>/<run>/<n>.json` hold the tokens of a run's test images, see `divide`. Lists and
 * columns of a dataset have one memory, whatever they are called: it is read only to say what an earlier list had.
 */

const tokensPerFile = 30_000;

const rememberedTokens = z.object({ formatVersion: z.literal(2), test: z.array(z.string()) });

export class TestMemory {
  readonly #store: ObjectStore;
  readonly #root: string;
  readonly #run: string;

  constructor(store: ObjectStore, { id, dataset, recipe }: RunConfig) {
    const { test } = recipe.split;
    this.#store = store;
    const which =
      typeof test === "object" && test !== null ? { test: "listed" } : { seed: recipe.seed, test };
    this.#root = `splits/${sha256Hex(canonicalJson({ dataset, ...which }))}/`;
    this.#run = id;
  }

  /** The tokens of all earlier runs' test images. */
  async read(): Promise<ReadonlySet<string>> {
    const found = new Set<string>();
    for await (const { key } of this.#store.list(this.#root)) {
      if (key.startsWith(`${this.#root}${this.#run}/`)) continue;
      const { test } = parseSealedAs(rememberedTokens, await this.#store.get(key, readBounds.dataset), key);
      for (const token of test) found.add(token);
    }
    return found;
  }

  async write(tokens: Iterable<string>): Promise<void> {
    const sorted = [...new Set(tokens)].sort();
    for (let start = 0; start < sorted.length; start += tokensPerFile) {
      const file = String(start / tokensPerFile).padStart(5, "0");
      const body = sealedJson({ formatVersion: 2, test: sorted.slice(start, start + tokensPerFile) });
      await putJsonOnce(this.#store, `${this.#root}${this.#run}/${file}.json`, body);
    }
  }
}
