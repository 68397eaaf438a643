import { TrommelError, type ScoreRow } from "@trommel/common";
import { unknownLabel, type ScoreCounts } from "@trommel/common/artefacts";
import { z } from "zod";

/** In a part's marker: images by label, in output order, and `unknown` last. Labels of no image are left out. */
export const partCounts = z.array(z.object({ label: z.string(), images: z.int().positive() }).strict());
type PartCounts = z.infer<typeof partCounts>;

export function countLabels(rows: readonly Pick<ScoreRow, "label">[], labels: readonly string[]): PartCounts {
  const images = new Map<string, number>();
  for (const { label } of rows) images.set(label, (images.get(label) ?? 0) + 1);
  const all = labels.includes(unknownLabel) ? labels : [...labels, unknownLabel];
  return all.flatMap((label) => {
    const count = images.get(label);
    return count === undefined ? [] : [{ label, images: count }];
  });
}

/** Adds up the parts' counts into `counts.json`. */
export class LabelCounts {
  readonly #images: Map<string, number>;
  #unknown = 0;

  /** @param labels in output order */
  constructor(labels: readonly string[]) {
    this.#images = new Map(labels.map((label) => [label, 0]));
  }

  /** @throws TrommelError `corrupt` if the model has no such label */
  add(part: PartCounts): void {
    for (const { label, images } of part) {
      const before = this.#images.get(label);
      if (before === undefined && label === unknownLabel) {
        this.#unknown += images;
        continue;
      }
      if (before === undefined) {
        throw new TrommelError(
          "corrupt",
          `cannot count the labels: a part has ${JSON.stringify(label)}, which the model does not know. Score into another --output`,
        );
      }
      this.#images.set(label, before + images);
    }
  }

  /**
   * @param images what the ledger counts as scored, the other side of the balance
   * @throws TrommelError `corrupt` where the labels do not add up to it
   */
  counts(images: number): ScoreCounts {
    const labels = [...this.#images].map(([label, count]) => ({ label, images: count }));
    const sum = labels.reduce((total, row) => total + row.images, this.#unknown);
    if (sum !== images) {
      throw new TrommelError(
        "corrupt",
        `cannot count the labels: ${images} pictures were scored, and the parts' markers count ${sum}. Score into another --output`,
      );
    }
    const unknown = this.#unknown === 0 ? {} : { unknown: this.#unknown };
    return { formatVersion: 1, images, labels, ...unknown, groups: groupsOf(labels) };
  }
}

function groupsOf(labels: ScoreCounts["labels"]): ScoreCounts["groups"] {
  if (!labels.some(({ label }) => label.includes("/"))) return null;
  const groups = new Map<string, number>();
  for (const { label, images } of labels) {
    const group = label.split("/", 1)[0] ?? label;
    groups.set(group, (groups.get(group) ?? 0) + images);
  }
  return [...groups].map(([group, images]) => ({ group, images }));
}
