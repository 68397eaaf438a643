import { TrommelError, type Recipe } from "@trommel/common";
import type { Division } from "@trommel/common/artefacts";

/** Counts a listing's images that are in a group. */
export class GroupCount {
  readonly #groupOf: Division["groupOf"];
  #grouped = 0;
  #example = "";

  constructor({ groupOf }: Pick<Division, "groupOf">) {
    this.#groupOf = groupOf;
  }

  /** Counts an image. @returns its group, or its key if it is in none */
  groupOf(key: string): string {
    const group = this.#groupOf(key);
    if (group !== undefined) this.#grouped += 1;
    else if (this.#example === "") this.#example = key;
    return group ?? key;
  }

  /** @throws TrommelError `bad-dataset` if keys are what groups images, and none has a group */
  check({ split: { groups } }: Pick<Recipe, "split">): void {
    if (this.#grouped > 0 || groups === null || "column" in groups) return;
    const [field, why] =
      "folder" in groups
        ? ["folder", `no key has a folder at level ${groups.folder}`]
        : ["pattern", `no key matches ${JSON.stringify(groups.pattern)}`];
    throw new TrommelError(
      "bad-dataset",
      `cannot group the images by split.groups.${field}: ${why}, as in ${JSON.stringify(this.#example)}. Correct split.groups.${field}, or leave it out`,
      { context: { key: this.#example } },
    );
  }
}
