import type { Contradictions } from "@trommel/common/artefacts";

interface Labelled {
  readonly key: string;
  readonly label: string;
  /** Equal files have equal ones. */
  readonly content: string;
}

const shownSets = 10;
const shownImages = 4;
const namedSets = 3;

/** Finds equal bytes under different labels. @returns null without any */
export function findContradictions(images: Iterable<Labelled>): Contradictions | null {
  const byContent = new Map<string, Labelled[]>();
  for (const image of images) {
    const same = byContent.get(image.content);
    if (same === undefined) byContent.set(image.content, [image]);
    else same.push(image);
  }
  const sets = [...byContent.values()].filter((same) => same.some(({ label }) => label !== same[0]?.label));
  if (sets.length === 0) return null;
  return {
    sets: sets.length,
    images: sets.reduce((sum, { length }) => sum + length, 0),
    examples: sets.slice(0, shownSets).map(exampleOf),
  };
}

/** The first image of each label, and then others. */
function exampleOf(same: readonly Labelled[]): { key: string; label: string }[] {
  const firsts = same.filter(({ label }, at) => same.findIndex((other) => other.label === label) === at);
  const others = same.filter((image) => !firsts.includes(image));
  return [...firsts, ...others].slice(0, shownImages).map(({ key, label }) => ({ key, label }));
}

/** The same in a sentence. */
export function contradictionNotes(found: Contradictions | null): string[] {
  if (found === null) return [];
  const { sets, images, examples } = found;
  const named = examples
    .slice(0, namedSets)
    .map((same) => same.map(({ key, label }) => `${key} is ${JSON.stringify(label)}`).join(", "));
  const more = sets > namedSets ? "; …" : "";
  return [
    `${images} images in ${sets} ${sets === 1 ? "set" : "sets"} have the same bytes as others with another label (${named.join("; ")}${more}). Correct their labels, or remove them.`,
  ];
}
