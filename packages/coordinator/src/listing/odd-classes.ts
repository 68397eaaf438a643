import { someOf, TrommelError, type ListingSummary } from "@trommel/common";
import { lookAlikesRemedy } from "../labels/read-csv-labels.js";
import { quoteVisibly, tidyText, unseenCharacters } from "../labels/text/check-label.js";
import { findLookAlikes } from "../labels/text/look-alikes.js";

type Classes = NonNullable<ListingSummary["classes"]>;

/** A class with fewer images is worth a look: it may be a folder that is no class. */
const fewImages = 10;

/** What looks odd about a listing's classes and patterns, in sentences. A thousand classes give a line of each kind, and not a thousand. */
export function oddities({ classes = [], withoutEffect }: Partial<ListingSummary>): string[] {
  const named = ({ label, images }: Classes[number]): string => `${quoteVisibly(label)} (${images})`;
  const few = classes.filter(({ images }) => images < fewImages).map(named);
  const unseen = classes.flatMap(({ label }) => {
    const found = unseenCharacters(label);
    return found.length === 0 ? [] : [`${quoteVisibly(label)} (${found.join(", ")})`];
  });
  const blank = classes.filter(({ label }) => label !== tidyText(label)).map(named);
  const mixed = classes.filter(({ label }) => isMixed(label)).map(named);
  const alike = findLookAlikes(classes.map(({ label }) => label)).map(
    ({ label, like }) => `${quoteVisibly(label)} like ${quoteVisibly(like)}`,
  );
  const idle = [
    ...(withoutEffect?.include ?? []).map((pattern) => `--include ${quoteVisibly(pattern)} matches no key`),
    ...(withoutEffect?.exclude ?? []).map(
      (pattern) => `--exclude ${quoteVisibly(pattern)} leaves nothing out that is not left out already`,
    ),
  ];
  return [
    ...lineOf(few, `fewer than ${fewImages} images`),
    ...lineOf(unseen, "characters in their names that are not seen"),
    ...lineOf(blank, "white space around their names"),
    ...lineOf(mixed, "letters of two scripts in their names"),
    ...(alike.length === 0 ? [] : [`classes look alike: ${someOf(alike)}`]),
    ...idle,
  ];
}

function lineOf(classes: readonly string[], what: string): string[] {
  if (classes.length === 0) return [];
  const count = classes.length === 1 ? "1 class has" : `${classes.length} classes have`;
  return [`${count} ${what}: ${someOf(classes)}`];
}

/** Latin letters among Cyrillic or Greek ones of the same word. */
function isMixed(label: string): boolean {
  return label
    .split(/[^\p{L}\p{M}]+/u)
    .some((word) => /\p{Script=Latin}/u.test(word) && /[\p{Script=Cyrillic}\p{Script=Greek}]/u.test(word));
}

/** @throws TrommelError `bad-dataset` for classes that look alike, naming both and their images */
export function refuseLookAlikeClasses(dataset: string, classes: Classes): void {
  const imagesOf = new Map(classes.map(({ label, images }) => [label, images]));
  const found = findLookAlikes(imagesOf.keys());
  if (found.length === 0) return;
  const named = (label: string): string => `${quoteVisibly(label)} (images: ${imagesOf.get(label)})`;
  const pairs = found.map(({ label, like }) => `${named(label)} looks like ${named(like)}`);
  throw new TrommelError(
    "bad-dataset",
    `cannot list ${dataset}: the class ${someOf(pairs)}. ${lookAlikesRemedy}`,
    { context: { pairs: pairs.slice(0, 100) } },
  );
}
