import { withoutUnseen } from "./check-label.js";

/** Cyrillic and Greek letters that look like Latin ones, and these. */
const others = "аеорсухіјѕһԁԛԝӏАВЕКМНОРСТУХІЈЅԚԜονΑΒΕΖΗΙΚΜΝΟΡΤΥΧ";
const latins = "aeopcyxijshdqwlABEKMHOPCTYXIJSQWovABEZHIKMNOPTYX";
const doubles = new Map(Array.from(others, (letter, at) => [letter, latins[at] ?? letter]));

/** Full case folding, by way of both cases; the dotless i stays one. */
function foldCase(text: string): string {
  return text
    .split("ı")
    .map((part) => part.toLowerCase().toUpperCase().toLowerCase().replaceAll("ς", "σ"))
    .join("ı");
}

/** What is left of a label for the eye: compatibility forms, case, width of blanks and unseen characters do not count. */
export function shapeOf(label: string): string {
  const plain = foldCase(withoutUnseen(label).normalize("NFKC")).normalize("NFKC");
  return foldCase(plain).normalize("NFKC").replace(/\s+/gu, " ").trim();
}

/** The same with letters of other scripts as the Latin ones that they look like. */
function latinShapeOf(label: string): string {
  const latin = Array.from(label.normalize("NFKC"), (letter) => doubles.get(letter) ?? letter);
  return shapeOf(latin.join(""));
}

/** Labels that look like an earlier one, each with that one, in the order given. */
export function findLookAlikes(
  labels: Iterable<string>,
): { readonly label: string; readonly like: string }[] {
  const first = new Map<string, string>();
  const found: { label: string; like: string }[] = [];
  for (const label of new Set(labels)) {
    const shapes = [shapeOf(label), `latin ${latinShapeOf(label)}`];
    const like = shapes.map((shape) => first.get(shape)).find((known) => known !== undefined);
    if (like !== undefined) found.push({ label, like });
    for (const shape of shapes) if (!first.has(shape)) first.set(shape, like ?? label);
  }
  return found;
}
