import { TrommelError, type ErrorCode } from "@trommel/common";
import { placeIn } from "../label-file.js";

/** One fault of a file of labels. */
interface LineFault {
  readonly line: number;
  readonly why: string;
  /** What to do where it is the only one. */
  readonly remedy: string;
}

/** What a message says of a file's faults. */
interface FaultsForm {
  readonly code: ErrorCode;
  /** What to do about a fault that does not say it, and about several. */
  readonly remedy: string;
  readonly remedyOfAll: string;
}

const tableForm: FaultsForm = {
  code: "bad-dataset",
  remedy: "Correct the line",
  remedyOfAll: "Correct these lines",
};

/** Faults that a message lists. */
export const listedAtMost = 20;

/** One line for each of the first faults, and for the number of the others. */
export function listFaults(first: readonly string[], count: number): string {
  const more = count - first.length;
  return [...first, ...(more === 0 ? [] : [`and ${more} more`])].map((text) => `\n  ${text}`).join("");
}

/** The faults of one file: the first of them by their lines, and the count of all. Holds no more than it lists. */
export class TableFaults {
  readonly file: string;
  readonly #form: FaultsForm;
  readonly #first: LineFault[] = [];
  #count = 0;
  #common = "";
  #explained = 0;
  #lastLine = 0;

  constructor(file: string, form = tableForm) {
    this.file = file;
    this.#form = form;
  }

  get count(): number {
    return this.#count;
  }

  /**
   * Says once what several faults have in common, and what to do.
   * @param sentences each with its full stop
   * @param count the faults of which they say all: where that is every fault, their lines are not listed
   */
  explain(sentences: string, count: number): void {
    this.#common = `${sentences} `;
    this.#explained = count;
  }

  add(line: number, why: string, remedy = this.#form.remedy): void {
    this.#count += 1;
    this.#lastLine = Math.max(this.#lastLine, line);
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
   * @throws TrommelError of the form's code with the first faults and their count, if there is one
   */
  check(doing: string): void {
    const [first] = this.#first;
    if (first !== undefined) throw this.#error(doing, first);
  }

  #error(doing: string, first: LineFault): TrommelError {
    const { file } = this;
    const { code, remedyOfAll } = this.#form;
    const lines = this.#first.map(({ line, why }) => `line ${line}: ${why}`);
    const context = { file, line: first.line, faults: this.#count, lines };
    if (this.#count === 1)
      return new TrommelError(
        code,
        `cannot ${doing} ${placeIn(file, first.line)}: ${first.why}. ${first.remedy}`,
        { context },
      );
    if (this.#explained === this.#count)
      return new TrommelError(
        code,
        `cannot ${doing} ${file}, lines ${first.line} to ${this.#lastLine}: ${this.#common.replace(/\. $/, "")}`,
        { context },
      );
    return new TrommelError(
      code,
      `cannot ${doing} ${file}: it has ${this.#count} faults. ${this.#common}${remedyOfAll}:${listFaults(lines, this.#count)}`,
      { context },
    );
  }
}
