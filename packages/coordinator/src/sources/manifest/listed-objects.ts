import { compareUtf8, TrommelError, type ObjectInfo, type ObjectStore } from "@trommel/common";

/** What a request to list costs, in objects that it gives. */
const objectsPerRequest = 1000;
/** Objects that may be listed for each answer: so many cost about as much as a look at one object. */
const objectsPerAnswer = 50;
/** And before the first answers. */
const objectsAtFirst = 2 * objectsPerRequest;

/**
 * Objects of a bucket by key, from its listing: for keys that come in the listing's order, one request answers for a thousand of
 * them. If keys come in another order, or are few among many, it gives up, and the caller looks at each object.
 */
export class ListedObjects {
  readonly #store: Pick<ObjectStore, "list">;
  #listing: AsyncIterator<ObjectInfo> | undefined;
  /** The object that the listing has come to; undefined at its end. */
  #here: ObjectInfo | undefined;
  #lastAsked = "";
  #listed = 0;
  #answers = 0;
  #gaveUp = false;
  /** Keys are worked on one after another. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(store: Pick<ObjectStore, "list">) {
    this.#store = store;
  }

  /**
   * @returns the object, undefined if none has that key, or `"unknown"` if it has to be looked at
   */
  find(key: string): Promise<ObjectInfo | undefined | "unknown"> {
    const found = this.#tail.then(() => this.#find(key));
    this.#tail = found.catch(() => undefined);
    return found;
  }

  /** Ends the listing; what is asked for afterwards is unknown. */
  async close(): Promise<void> {
    this.#gaveUp = true;
    await this.#tail;
    await this.#leave();
  }

  async #find(key: string): Promise<ObjectInfo | undefined | "unknown"> {
    if (this.#gaveUp) return "unknown";
    try {
      if (this.#listing === undefined || compareUtf8(key, this.#lastAsked) < 0) await this.#openAt(key);
      this.#lastAsked = key;
      while (this.#listed <= objectsAtFirst + objectsPerAnswer * this.#answers) {
        const order = this.#here === undefined ? 1 : compareUtf8(this.#here.key, key);
        if (order >= 0) {
          if (order > 0) return this.#answer(undefined);
          // A server may tell the etag of an object to those who look at it alone.
          return this.#here?.etag === "" ? "unknown" : this.#answer(this.#here);
        }
        await this.#step();
      }
    } catch (thrown) {
      // A bucket that does not let itself be listed may give its objects.
      if (!(thrown instanceof TrommelError)) throw thrown;
    }
    this.#gaveUp = true;
    await this.#leave();
    return "unknown";
  }

  #answer(object: ObjectInfo | undefined): ObjectInfo | undefined {
    this.#answers += 1;
    return object;
  }

  async #openAt(key: string): Promise<void> {
    await this.#leave();
    this.#listed += objectsPerRequest;
    // Without its last character a key is before itself, and nearly nothing is between the two.
    const startAfter = key.slice(0, -1).replace(/[\ud800-\udbff]$/, "");
    this.#listing = this.#store.list("", { startAfter, withUnusable: true })[Symbol.asyncIterator]();
    await this.#step();
  }

  async #step(): Promise<void> {
    do {
      const next = await this.#listing?.next();
      this.#here = next?.done === false ? next.value : undefined;
      this.#listed += 1;
    } while (this.#here?.unusable !== undefined);
  }

  async #leave(): Promise<void> {
    const listing = this.#listing;
    this.#listing = undefined;
    await listing?.return?.(undefined);
  }
}
