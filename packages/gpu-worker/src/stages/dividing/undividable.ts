import { TrommelError } from "@trommel/common";
import { adviceOnFailedFiles } from "../inputs/features.js";
import type { DividedImage } from "./divided-images.js";

export interface UndividableClass {
  readonly run: string;
  readonly name: string;
  /** Files of the class that could not be read. */
  readonly failed: number;
  /** Every image of the run that could be read. */
  readonly images: readonly DividedImage[];
  readonly isTested: (image: DividedImage) => boolean;
  readonly groupOf: (key: string) => string | undefined;
}

/** The error for a class that cannot be in two folds: why not, and what to do. */
export function undividable(of: UndividableClass): TrommelError {
  const { run, name, failed, images, isTested } = of;
  const own = images.filter(({ label }) => label === name);
  const left = own.filter((image) => !isTested(image));
  const label = JSON.stringify(name);
  const files = failed === 1 ? "1 file of it could not" : `${failed} files of it could not`;
  const unread = failed === 0 ? "" : ` (${files} be read)`;
  const outside = left.length < own.length ? " outside the test part" : "";
  const { why, remedy } =
    left.length === 0
      ? {
          why: `all ${own.length} images of class ${label} are in the test part`,
          remedy: "change split.test",
        }
      : left.length === 1
        ? { why: `class ${label} has one image${outside}`, remedy: "remove the class" }
        : whyTogether(left, `the ${left.length} images of class ${label}${outside}`, of);
  const advice = failed === 0 ? "" : `. ${adviceOnFailedFiles(run)}`;
  return new TrommelError(
    "bad-dataset",
    `cannot divide the dataset: ${why}${unread}, and at least two folds need one each. Add images of that class, or ${remedy}${advice}`,
    { context: { class: name, images: own.length, failed } },
  );
}

/** Why two images or more stay together. @param them names these images */
function whyTogether(
  left: readonly DividedImage[],
  them: string,
  { images, groupOf }: UndividableClass,
): { why: string; remedy: string } {
  const [first] = left as [DividedImage, ...DividedImage[]];
  if (left.every(({ content }) => content === first.content)) {
    const other = images.find(({ content, label }) => content === first.content && label !== first.label);
    if (other === undefined) return { why: `${them} are copies of each other`, remedy: "remove the class" };
    const both = `${JSON.stringify(first.key)} and ${JSON.stringify(other.key)}`;
    return {
      why: `${them} are copies of each other, and the same picture has the label ${JSON.stringify(other.label)} as well (${both})`,
      remedy: "correct the labels",
    };
  }
  const remedy = "change split.groups";
  const group = groupOf(first.key);
  if (group !== undefined && left.every(({ key }) => groupOf(key) === group))
    return { why: `${them} are members of one group, ${JSON.stringify(group)}`, remedy };
  return { why: `${them} are kept together by copies of images and by groups that share them`, remedy };
}
