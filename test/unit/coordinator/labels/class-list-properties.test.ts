import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { parseClassList } from "#coordinator/labels/read-class-list";
import * as fc from "fast-check";

/** Names may hold spaces and anything printable, and do not begin or end with white space. */
const name = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 12 })
  .filter(
    (text) =>
      text === text.trim() &&
      !/\p{C}|[\u2028\u2029\u0085]|\p{Default_Ignorable_Code_Point}|[\u2800\ufffc\ufffd]/u.test(text),
  );
const names = fc.uniqueArray(name, { minLength: 2, maxLength: 12 });
const shuffled = names.chain((classes) =>
  fc.tuple(
    fc.constant(classes),
    fc.shuffledSubarray([...classes.keys()], { minLength: classes.length, maxLength: classes.length }),
  ),
);

const linesOf = (classes: readonly string[], order: readonly number[]): Uint8Array =>
  Buffer.from(order.map((index) => `${classes[index] ?? ""} ${index}\n`).join(""), "utf8");

describe("class lists of any names", () => {
  it("give the names by their indices, in whatever order the lines stand", () => {
    const property = fc.property(shuffled, ([classes, order]) => {
      // A list whose first character is a brace is read as JSON.
      fc.pre(!(classes[order[0] ?? 0] ?? "").startsWith("{"));
      const normal = classes.map((name) => name.normalize("NFC"));
      fc.pre(new Set(normal).size === normal.length);
      assert.deepEqual(parseClassList(linesOf(classes, order), "classes.txt"), normal);
    });
    fc.assert(property, { seed: 5, numRuns: 300 });
  });

  it("are refused, with the file's name, when a line is left out of the middle", () => {
    const property = fc.property(shuffled, fc.nat(), ([classes, order], chosen) => {
      const left = chosen % (classes.length - 1);
      const rest = order.filter((index) => index !== left);
      fc.pre(!(classes[rest[0] ?? 0] ?? "").startsWith("{"));
      assert.throws(
        () => parseClassList(linesOf(classes, rest), "classes.txt"),
        (thrown: unknown) => thrown instanceof TrommelError && thrown.message.includes("classes.txt"),
      );
    });
    fc.assert(property, { seed: 6, numRuns: 300 });
  });
});
