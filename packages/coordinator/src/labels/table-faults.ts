import { TrommelError } from "@trommel/common";
import { placeIn } from "./label-file.js";

/** One fault of a file of labels. */
interface LineFault {
  readonly line: number;
  readonly why: string;
  /** What to do where it is the only one. */
  readonly remedy: string;
}

/** Faults that a message lists. */
const listedAtMost = 20;

/** The faults of one file: the first of them by their lines, and the count of all. Holds no more than it lists. */
export class TableFaults {
  readonly file: string;
  readonly #first: LineFault[] = [];
  #count = 0;

  constructor(file: string) {
    this.file = file;
  }

  get count(): number {
    return this.#count;
  }

  add(line: number, why: string, remedy = "Correct the line"): void {
    this.#count += 1;
    const last = this.#first.at(-1);
    if (this.#first.length === listedAtMost && last !== undefined && last.line <= line) return;
    const after = this.#first.findIndex((fault) => fault.line > line);
    this.#first.splice(after === -1 ? this.#first.length : after, 0, { line, why, remedy });
    this.#first.length = Math.min(this.#first.length, listedAtMost);
  }

  /** Adds the last fault, after which nothing can be read. @returns the error of all */
  last(doing: string, line: number, why: string, remedy?: string): TrommelError {
    this.add(line, why, remedy);
    return this.#error(doing, this.#first[0] ?? { line, why, remedy: remedy ?? "" });
  }

  /**
   * @param doing what cannot be done, as in "read the labels"; the file's name follows it
   * @throws TrommelError `bad-dataset` with every fault, if there is one
   */
  check(doing: string): void {
    const [first] = this.#first;
    if (first !== undefined) throw this.#error(doing, first);
  }

  #error(doing: string, first: LineFault): TrommelError {
    const { file } = this;
    const lines = this.#first.map(({ line, why }) => `line ${line}: ${why}`);
    const context = { file, line: first.line, faults: this.#count, lines };
    if (this.#count === 1)
      return new TrommelError(
        "bad-dataset",
        `cannot ${doing} ${placeIn(file, first.line)}: ${first.why}. ${first.remedy}`,
        { context },
      );
    const more = this.#count - lines.length;
    const listed = [...lines, ...(more === 0 ? [] : [`and ${more} more`])].map((text) => `\n  ${text}`);
    return new TrommelError(
      "bad-dataset",
      `cannot ${doing} ${file}: it has ${this.#count} faults. Correct these lines:${listed.join("")}`,
      { context },
    );
  }
}
