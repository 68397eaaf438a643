import { SeededRandom, type ShardEntry } from "@trommel/common";
import { probedImagesAtMost } from "@trommel/common/jobs";

/** Which images are drawn changes no result, and the same listing draws the same ones. */
const seed = 0;

/** Some of the images of a listing for a worker to try, each as likely as any other (Vitter 1985, algorithm R). */
export class ProbedImages {
  readonly entries: ShardEntry[] = [];
  readonly #random = new SeededRandom(seed);
  #seen = 0;

  /** Whether there are as many as a worker tries. */
  get isFull(): boolean {
    return this.entries.length === probedImagesAtMost;
  }

  add({ key, sizeBytes, etag, at }: ShardEntry): void {
    const entry = { key, sizeBytes, etag, ...(at === undefined ? {} : { at }) };
    this.#seen += 1;
    if (!this.isFull) {
      this.entries.push(entry);
      return;
    }
    const place = this.#random.integer(this.#seen);
    if (place < probedImagesAtMost) this.entries[place] = entry;
  }
}
