import { TrommelError } from "@trommel/common";
import { placeIn } from "../label-file.js";
import { listedAtMost, listFaults } from "./table-faults.js";

const remedy = "Write '<image>, <index or name of the class>'";

/** The faults of text files, one of each file at most: the first of them, and the count of all. */
export class SidecarFaults {
  readonly #first: { readonly file: string; readonly line: number; readonly why: string }[] = [];
  #count = 0;

  /** Called in the order of the listing. */
  add(file: string, line: number, why: string): void {
    this.#count += 1;
    if (this.#first.length < listedAtMost) this.#first.push({ file, line, why });
  }

  /** @throws TrommelError `bad-dataset` with the first faults and their count, if there is one */
  check(dataset: string): void {
    const [first] = this.#first;
    if (first === undefined) return;
    const lines = this.#first.map(({ file, line, why }) => `${placeIn(file, line)}: ${why}`);
    const message =
      this.#count === 1
        ? `cannot label ${dataset} by ${lines[0]}. ${remedy}`
        : `cannot label ${dataset}: ${this.#count} text files have faults. ${remedy} in these:${listFaults(lines, this.#count)}`;
    const context = { file: first.file, line: first.line, faults: this.#count, lines };
    throw new TrommelError("bad-dataset", message, { context });
  }
}
