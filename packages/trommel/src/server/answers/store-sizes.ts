import { toTrommelError, TrommelError, type ObjectStore } from "@trommel/common";
import { z } from "zod";

const folderSize = z.strictObject({ folder: z.string(), objects: z.number(), sizeBytes: z.number() });

export const storeSizes = z
  .strictObject({
    store: z.string(),
    state: z.enum(["counting", "counted"]).meta({ description: "While it counts, the last count is given" }),
    countedAt: z.string().nullable(),
    folders: z.array(folderSize),
  })
  .meta({ description: "What a store holds, by the folders at its root" });
type Sizes = z.infer<typeof storeSizes>;

const keptMs = 10 * 60_000;

/** Counts a store in the background, at most once in ten minutes: a store of millions of objects takes minutes. */
export class StoreSizes {
  #folders: Sizes["folders"] = [];
  #countedAt: string | null = null;
  #countedAtMs = Number.NEGATIVE_INFINITY;
  #counting: Promise<void> | undefined;
  #fault: TrommelError | undefined;

  /** The last count; waits for a short one. @throws what the last count has met */
  async of(store: ObjectStore, signal: AbortSignal): Promise<Sizes> {
    if (performance.now() - this.#countedAtMs > keptMs) {
      this.#counting ??= this.#count(store, signal).finally(() => (this.#counting = undefined));
      const soon = new Promise((done) => setTimeout(done, waitMs).unref());
      await Promise.race([this.#counting, soon]);
    }
    if (this.#fault !== undefined) throw this.#fault;
    const state = this.#counting === undefined ? "counted" : "counting";
    return { store: store.url, state, countedAt: this.#countedAt, folders: this.#folders };
  }

  async #count(store: ObjectStore, signal: AbortSignal): Promise<void> {
    const found = new Map<string, { objects: number; sizeBytes: number }>();
    this.#fault = undefined;
    try {
      for await (const { key, sizeBytes } of store.list("")) {
        if (signal.aborted) return;
        const slash = key.indexOf("/");
        const folder = slash === -1 ? "" : key.slice(0, slash);
        const sum = found.get(folder) ?? { objects: 0, sizeBytes: 0 };
        found.set(folder, { objects: sum.objects + 1, sizeBytes: sum.sizeBytes + sizeBytes });
      }
      this.#folders = [...found].map(([folder, sum]) => ({ folder, ...sum }));
      this.#countedAt = new Date().toISOString();
      this.#countedAtMs = performance.now();
    } catch (thrown) {
      // A folder to which nothing was written yet does not exist.
      const isEmpty =
        store.url.startsWith("file:") && thrown instanceof TrommelError && thrown.code === "not-found";
      this.#fault = isEmpty ? undefined : toTrommelError(thrown);
    }
  }
}

/** An answer waits this long for a count before it says that one is under way. */
const waitMs = 2000;
