import type { ErrorLine, FailureReason } from "@trommel/common";
import type { FailedImages } from "@trommel/coordinator/run-control";
import type { Work } from "../../api/work.js";
import { Cache } from "./cache.js";
import { Turns } from "./turns.js";

/** The first failed images of a run, as many as fit into the bound. */
interface Known extends Pick<FailedImages, "complete" | "sums"> {
  readonly first: readonly ErrorLine[];
  readonly isAll: boolean;
}

/** A part of the failed images. */
export interface FailedPage extends Pick<FailedImages, "complete" | "sums"> {
  readonly images: readonly ErrorLine[];
  /** How many to pass over for the next page; null on the last one. */
  readonly next: number | null;
}

const runsAtMost = 4;
const keptMs = 15_000;
/** Characters of the images that are kept of each run. */
const charactersAtMost = 4 * 1024 * 1024;

/**
 * Pages of the failed images of runs and scorings. The first ones of a few runs are kept for a while; what is behind them is read again
 * for each page, a piece at a time, so that millions of failed images never lie in memory.
 */
export class FailedPages {
  readonly #known = new Cache<Known>({ atMost: runsAtMost, keptMs });
  readonly #turns = new Turns({ atOnce: 2, waitingAtMost: 100, doing: "read failed images" });
  readonly #charactersAtMost: number;

  /** @param options.charactersAtMost of each run. @default 4 Mi */
  constructor(options: { readonly charactersAtMost?: number } = {}) {
    this.#charactersAtMost = options.charactersAtMost ?? charactersAtMost;
  }

  /** @throws TrommelError as Work.failures does; `unavailable`, retryable, if too many ask */
  async page(
    work: Work,
    of: { readonly reason?: FailureReason | undefined; readonly after: number; readonly limit: number },
  ): Promise<FailedPage> {
    const { reason, after, limit } = of;
    const { complete, sums, first, isAll } = await this.#firstOf(work);
    const end = after + limit;
    if (isAll || (reason === undefined && end <= first.length)) {
      const all = first.filter((line) => reason === undefined || line.reason === reason);
      const isLast = isAll && end >= all.length;
      return { complete, sums, images: all.slice(after, end), next: isLast ? null : end };
    }
    let found = 0;
    const failures = await this.#pass(work, (line) => {
      if (reason !== undefined && line.reason !== reason) return false;
      found += 1;
      return found > end ? "enough" : found > after;
    });
    return { complete, sums, images: failures.failed, next: found > end ? end : null };
  }

  /** The failed image of a key. */
  async find(work: Work, key: string): Promise<ErrorLine | undefined> {
    const { first, isAll } = await this.#firstOf(work);
    const known = first.find((line) => line.key === key);
    if (known !== undefined || isAll) return known;
    let isFound = false;
    const { failed } = await this.#pass(work, (line) => {
      if (isFound) return "enough";
      isFound = line.key === key;
      return isFound;
    });
    return failed[0];
  }

  clear(): void {
    this.#known.clear();
  }

  #firstOf(work: Work): Promise<Known> {
    return this.#known.get(work.id, async () => {
      let characters = 0;
      let isAll = true;
      const { complete, sums, failed } = await this.#pass(work, ({ key, detail }) => {
        characters += key.length + detail.length;
        isAll = characters <= this.#charactersAtMost;
        return isAll || "enough";
      });
      return { complete, sums, first: failed, isAll };
    });
  }

  #pass(work: Work, keeps: (line: ErrorLine) => boolean | "enough"): Promise<FailedImages> {
    return this.#turns.run(() => work.failures({ skippedAtMost: 0, keeps }));
  }
}
