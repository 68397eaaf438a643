import { nameOfCharacter } from "./character-names.js";

/**
 * Characters that are not seen (controls, Unicode's default ignorable ones, line separators, a blank that counts as a symbol), and
 * those that an earlier conversion left for what it lost. Arabic number signs and their like count as format characters too, and are seen.
 */
const unseen =
  /(?![\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\u2800\ufffc\ufffd]/gu;

/**
 * Joiners and selectors are part of how some words and signs are written: between letters of scripts that join or stack, and in emoji.
 * Two labels that differ by nothing else look alike all the same.
 */
const joining =
  "\\p{Script=Arabic}\\p{Script=Syriac}\\p{Script=Mongolian}\\p{Script=Nko}\\p{Script=Devanagari}\\p{Script=Bengali}\\p{Script=Gurmukhi}\\p{Script=Gujarati}\\p{Script=Oriya}\\p{Script=Tamil}\\p{Script=Telugu}\\p{Script=Kannada}\\p{Script=Malayalam}\\p{Script=Sinhala}\\p{Script=Khmer}";
const written = new RegExp(
  [
    `(?<=[${joining}]\\p{M}*)[\\u200c\\u200d](?=[${joining}])`,
    "(?<=\\p{Extended_Pictographic}(?:\\ufe0f|\\p{Emoji_Modifier})?)\\u200d(?=\\p{Extended_Pictographic})",
    "(?<=\\p{Extended_Pictographic})[\\ufe0e\\ufe0f]",
  ].join("|"),
  "gu",
);

/** White space at either end, in any script's width; controls other than tab and line ends are no white space. */
const outerSpace = /^[\t\r\n\p{Zs}]+|[\t\r\n\p{Zs}]+$/gu;

/** A label, an id or a column's name as it is compared: without white space around it, in Unicode NFC. */
export function tidyText(text: string): string {
  return text.replace(outerSpace, "").normalize("NFC");
}

/** The unseen characters of a text, each once: `U+200B ZERO WIDTH SPACE`. Joiners and selectors that writing needs do not count. */
export function unseenCharacters(text: string): string[] {
  const found = text.replace(written, "").match(unseen) ?? [];
  return [...new Set(found)].map(nameOfCharacter);
}

/** White space that looks like a blank and is another character. */
const oddBlank = /(?! )\p{Zs}/u;

/** Unseen characters and odd blanks of a text, each where it first occurs: `U+00A0 NO-BREAK SPACE (character 3)`. */
export function placedOddCharacters(text: string): string[] {
  const unseenNames = new Set(unseenCharacters(text));
  const first = new Map<string, number>();
  for (const [at, character] of Array.from(text).entries()) {
    const name = nameOfCharacter(character);
    if ((unseenNames.has(name) || oddBlank.test(character)) && !first.has(name)) first.set(name, at + 1);
  }
  return [...first].map(([name, at]) => `${name} (character ${at})`);
}

/** A text without any unseen character. */
export function withoutUnseen(text: string): string {
  return text.replace(unseen, "");
}

/** A text in quotes, with unseen characters written as escapes. */
export function quoteVisibly(text: string, atMost = 80): string {
  const cut = text.length > atMost ? `${text.slice(0, atMost)}…` : text;
  return JSON.stringify(cut).replace(
    unseen,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** Why a label cannot be a class's name, or undefined. */
export function whyIllegalLabel(label: string): string | undefined {
  const found = unseenCharacters(label);
  if (found.length === 0) return undefined;
  return `the class ${quoteVisibly(label)} contains ${found.join(", ")}`;
}
