/**
 * A stroke font for images that must not depend on the machine's fonts: without fonts librsvg draws boxes, and fonts differ
 * between machines. It has the glyphs of the training chart and few more.
 *
 * A glyph is its advance and an SVG path on the baseline, y downwards, in tenths of the font size: capitals are 7 high,
 * small letters 5.
 */
type Glyph = readonly [advance: number, path: string];

const bowl = "M4-2.5A2 2.5 0 1 0 0-2.5A2 2.5 0 1 0 4-2.5";
const lowerRing = "M4.4-2.3A2.2 2.3 0 1 0 0-2.3A2.2 2.3 0 1 0 4.4-2.3";
const upperRing = "M4.4-4.7A2.2 2.3 0 1 0 0-4.7A2.2 2.3 0 1 0 4.4-4.7";

const glyphs: Readonly<Record<string, Glyph>> = {
  " ": [2.8, ""],
  "+": [5.6, "M.2-3H4M2.1-4.9V-1.1"],
  ",": [1.9, "M.5-.4L.1 1"],
  "-": [3.8, "M.4-2.8H2.8"],
  ".": [1.9, "M.3-.2V0"],
  "0": [5.8, "M4.4-3.5A2.2 3.5 0 1 0 0-3.5A2.2 3.5 0 1 0 4.4-3.5"],
  "1": [5.8, "M.6-5.8L2.4-7V0M.6 0H4.2"],
  "2": [5.8, "M.2-5.2A2.1 1.9 0 1 1 3.7-3.7L.1 0H4.4"],
  "3": [5.8, "M.3-6A2 1.7 0 1 1 1.8-3.7A2.2 1.85 0 1 1 0-1"],
  "4": [5.8, "M3.4 0V-7L0-2.2H4.6"],
  "5": [5.8, "M4-7H.8L.5-3.9A2.1 2.2 0 1 1 .1-.9"],
  "6": [5.8, `M3.8-6.6Q3-7 2.4-7C.4-7 0-4.6 0-2.4${lowerRing}`],
  "7": [5.8, "M0-7H4.4L1.4 0"],
  "8": [
    5.8,
    "M4-5.3A1.8 1.7 0 1 0 .4-5.3A1.8 1.7 0 1 0 4-5.3M4.4-1.8A2.2 1.8 0 1 0 0-1.8A2.2 1.8 0 1 0 4.4-1.8",
  ],
  "9": [5.8, `M.6-.4Q1.4 0 2 0C4 0 4.4-2.4 4.4-4.6${upperRing}`],
  A: [6.2, "M0 0L2.5-7L5 0M.9-2.5H4.1"],
  L: [5, "M.2-7V0H3.8"],
  T: [5.6, "M0-7H5M2.5-7V0"],
  V: [5.8, "M0-7L2.5 0L5-7"],
  a: [5.4, `${bowl}M4-5V0`],
  c: [5, "M3.8-4A2 2.5 0 1 0 3.8-1"],
  d: [5.4, `${bowl}M4-7V0`],
  e: [5.2, "M0-2.6H4A2 2.5 0 1 0 3.6-1"],
  g: [5.4, `${bowl}M4-5V.4A2 1.7 0 0 1 .3 1.1`],
  h: [5.2, "M.1-7V0M.1-2.8A1.85 2.2 0 0 1 3.8-2.8V0"],
  i: [1.8, "M.2-5V0M.2-7V-6.8"],
  l: [1.8, "M.2-7V0"],
  n: [5.2, "M.1-5V0M.1-2.8A1.85 2.2 0 0 1 3.8-2.8V0"],
  o: [5.4, bowl],
  p: [5.4, `M0-5V2${bowl}`],
  r: [3.4, "M.1-5V0M.1-2.6A2.2 2.3 0 0 1 2.6-4.9"],
  s: [4.8, "M3.5-4.2A1.75 1.1 0 0 0 1.8-5C-.4-5-.4-2.8 1.8-2.6C4.2-2.3 4.1 0 1.8 0A1.8 1.2 0 0 1 0-.9"],
  t: [3.8, "M1.2-6.6V-1.2A1.2 1.2 0 0 0 2.4 0H2.9M0-5H2.8"],
  u: [5.2, "M.1-5V-2.2A1.85 2.2 0 0 0 3.8-2.2M3.8-5V0"],
  y: [5, "M0-5L2.1 0M4.2-5L1.6 1.2Q1.2 2 .2 2"],
};

/** Drawn for a character that the font lacks. */
const box: Glyph = [5.4, "M.4-7H4V0H.4Z"];

/** Whether the font has every character of a text. */
export function hasGlyphs(text: string): boolean {
  return [...text].every((character) => character in glyphs);
}

/** Added to every advance: strokes with round ends want a little room. */
const tracking = 0.3;

export interface StrokedText {
  /** In tenths of the font size. */
  readonly width: number;
  readonly glyphs: readonly { readonly x: number; readonly path: string }[];
}

export function strokeText(text: string): StrokedText {
  let x = 0;
  const placed: { x: number; path: string }[] = [];
  for (const character of text) {
    const [advance, path] = glyphs[character] ?? box;
    if (path !== "") placed.push({ x, path });
    x += advance + tracking;
  }
  // The space after the last glyph is not part of the text.
  return { width: Math.max(0, x - 1.2 - tracking), glyphs: placed };
}
