import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import {
  quoteVisibly,
  tidyText,
  unseenCharacters,
  whyIllegalLabel,
} from "#coordinator/labels/text/check-label";
import { findLookAlikes, shapeOf } from "#coordinator/labels/text/look-alikes";

const goldenFile = new URL("../../../../golden/label-text.json", import.meta.url);
/** By Python's unicodedata, see label-text.py. */
const golden = JSON.parse(await readFile(goldenFile, "utf8")) as {
  readonly unseen: Readonly<Record<string, string>>;
  readonly folded: readonly string[];
  readonly forms: readonly (readonly [string, string, string])[];
};

describe("a label's characters", () => {
  it("are named by Unicode where they are not seen", () => {
    for (const [character, name] of Object.entries(golden.unseen)) {
      const hex = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
      assert.deepEqual(unseenCharacters(`a${character}b`), [`U+${hex} ${name}`]);
      assert.match(quoteVisibly(`a${character}b`), /^"a\\[\w{}]+b"$/);
    }
    assert.equal(
      whyIllegalLabel("gl\u200bass\u200b\0"),
      'the class "gl\\u{200b}ass\\u{200b}\\u0000" contains U+200B ZERO WIDTH SPACE, U+0000 NULL',
    );
  });

  it("are legal in any script, with the joiners and selectors that its writing needs", () => {
    for (const label of [
      "glass",
      "Müll",
      "사과",
      "می\u200cخواهم",
      "क्\u200dष",
      "👨\u200d👩\u200d👧",
      "❤\ufe0f",
      "𐐀",
      "a b",
    ])
      assert.equal(whyIllegalLabel(label), undefined, label);
    for (const label of ["gla\u200css", "glass\ufe0f", "\u200dglass", "a\ud800"])
      assert.notEqual(whyIllegalLabel(label), undefined, label);
  });

  it("are trimmed and composed", () => {
    for (const [, composed, decomposed] of golden.forms) {
      assert.equal(tidyText(`\u00a0 ${decomposed}\t\u3000`), composed);
      assert.equal(tidyText(composed), composed);
    }
    // A mark of byte order in the middle of a file is no white space.
    assert.equal(tidyText("glass\ufeff "), "glass\ufeff");
  });
});

describe("labels that look alike", () => {
  it("have one shape, by Python's normalisation and case folding", () => {
    for (const pair of golden.folded) {
      const [left = "", right = ""] = pair.split(" ");
      assert.equal(shapeOf(left), shapeOf(right), pair);
    }
    for (const [as, composed, decomposed] of golden.forms)
      assert.equal(new Set([as, composed, decomposed].map(shapeOf)).size, 1);
  });

  it("are found by case, blanks, unseen characters, and letters of another script", () => {
    for (const [like, label] of [
      ["Glass", "glass"],
      ["plastic  bottle", "plastic\u00a0bottle"],
      ["glass", "gla\u00adss"],
      ["paper", "р\u0430per"],
      ["ВОДА", "вода"],
      ["PAPER", "РАРЕR"],
    ] as const)
      assert.deepEqual(findLookAlikes(["other", like, label]), [{ label, like }]);
    assert.deepEqual(
      findLookAlikes(["a", "A", "ａ"]).map(({ like }) => like),
      ["a", "a"],
    );
  });

  it("are not found among different ones", () => {
    const different = [
      "a",
      "ä",
      "á",
      "kıl",
      "kil",
      "1",
      "l",
      "o",
      "0",
      "bottle",
      "bottles",
      "вода",
      "voda",
      "plastic-bottle",
    ];
    assert.deepEqual(findLookAlikes(different), []);
  });

  it("of many classes take no time", () => {
    assert.deepEqual(findLookAlikes(Array.from({ length: 50_000 }, (_, i) => `class ${i}`)), []);
  });
});
