import type { openStore, ObjectStore } from "@trommel/common";
import { openObjects } from "@trommel/common/store";

/** Open stores that nothing reads from, kept for the shards to come; a worker serves a few runs at a time. */
const idleAtMost = 4;

interface Source {
  readonly store: ObjectStore;
  readers: number;
  /** Whether later shards open it again. */
  stale: boolean;
}

/**
 * The stores that a worker reads images from, each opened once and not for each shard: a bucket's client reads its
 * configuration from files and makes connections of its own.
 */
export class SourceStores {
  /** By location, the one that was used last at the end. */
  readonly #sources = new Map<string, Source>();
  readonly #open: typeof openStore;

  constructor(open: typeof openStore = openObjects) {
    this.#open = open;
  }

  /**
   * Lends the store of a location for as long as the work lasts. After work that failed it is opened again: there
   * may be other credentials by then.
   */
  async use<T>(location: string, work: (store: ObjectStore) => Promise<T>): Promise<T> {
    const source = this.#sources.get(location) ?? { store: this.#open(location), readers: 0, stale: false };
    this.#sources.delete(location);
    this.#sources.set(location, source);
    source.readers += 1;
    try {
      return await work(source.store);
    } catch (thrown) {
      this.#retire(location, source);
      throw thrown;
    } finally {
      source.readers -= 1;
      if (source.stale && source.readers === 0) source.store.close();
      this.#closeIdle();
    }
  }

  /** {@link use} of several stores at once. */
  useAll<T>(
    locations: readonly string[],
    work: (stores: ReadonlyMap<string, ObjectStore>) => Promise<T>,
  ): Promise<T> {
    const lent = new Map<string, ObjectStore>();
    const lend = (at: number): Promise<T> => {
      const location = locations[at];
      if (location === undefined) return work(lent);
      return this.use(location, (store) => {
        lent.set(location, store);
        return lend(at + 1);
      });
    };
    return lend(0);
  }

  /** Closes all, and ends what waits in them. */
  close(): void {
    for (const { store } of this.#sources.values()) store.close();
    this.#sources.clear();
  }

  #retire(location: string, source: Source): void {
    source.stale = true;
    if (this.#sources.get(location) === source) this.#sources.delete(location);
  }

  #closeIdle(): void {
    const idle = [...this.#sources].filter(([, { readers }]) => readers === 0);
    for (const [location, { store }] of idle.slice(0, Math.max(0, idle.length - idleAtMost))) {
      this.#sources.delete(location);
      store.close();
    }
  }
}
