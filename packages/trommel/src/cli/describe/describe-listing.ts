import { printable } from "../../index.js";
import type { ListingOverview } from "../../index.js";
import { counted } from "./counted.js";

/** Classes that are shown with their counts; the rest are in `listing.json` and `--json`. */
const shownAtMost = 20;

/** What was listed, in lines for people. */
export function* describeListing({ listed, images, skipped, ...rest }: ListingOverview): Generator<string> {
  const { classes, leftOut, oddities } = rest;
  const found = classes?.filter((one) => one.images > 0).length;
  const of = found === undefined ? "" : ` of ${counted(found, "class", "classes")}`;
  yield `listed ${listed}: ${counted(images, "image")}${of}, ${skipped} skipped`;
  if (classes !== undefined) {
    const sorted = [...classes].sort((a, b) => b.images - a.images);
    const shown = sorted.slice(0, shownAtMost).map((one) => `${printable(one.label)} ${one.images}`);
    const more = sorted.length - shown.length;
    yield `classes: ${[...shown, ...(more > 0 ? [`and ${more} more`] : [])].join(", ")}`;
  }
  yield* describePatterns(leftOut);
  for (const odd of oddities) yield `odd: ${odd}`;
}

/** What patterns and a sample left out. */
export function* describePatterns(leftOut: ListingOverview["leftOut"]): Generator<string> {
  if (leftOut === undefined) return;
  const parts = Object.entries(leftOut.excluded).map(
    ([pattern, objects]) => `${objects} by --exclude ${JSON.stringify(pattern)}`,
  );
  if (leftOut.notSampled !== undefined) parts.push(`${leftOut.notSampled} that are not in the sample`);
  if (leftOut.notIncluded > 0) parts.unshift(`${leftOut.notIncluded} that no --include matches`);
  if (parts.length > 0) yield printable(`left out: ${parts.join(", ")}`);
}
