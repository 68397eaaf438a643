import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compareUtf8, SeededRandom } from "@trommel/common";
import {
  kaggleHeader,
  kaggleId,
  kaggleRecords,
  RepeatedIds,
} from "#gpu-worker/stages/scoring/formats/kaggle-rows";
import { parseCsv } from "../../../../support/files/csv.js";

const trickyNames = ["a,b", 'say "cheese"', "two\nlines", "中文/狗", "=1+1", " padded ", "cr\rhere"];

describe("an id", () => {
  it("is the key without its extension", () => {
    for (const [key, id] of [
      ["000bec180eb18c7604dcecc8fe0dba07.jpg", "000bec180eb18c7604dcecc8fe0dba07"],
      ["test/a.b.JPEG", "test/a.b"],
      ["v1.5/a", "v1.5/a"],
      ["a", "a"],
      ["a.", "a"],
      ["dir/.hidden", "dir/.hidden"],
      [".hidden", ".hidden"],
      ["目录/图.png", "目录/图"],
    ] as const) {
      assert.equal(kaggleId(key), id);
    }
  });
});

describe("Kaggle's rows", () => {
  it("have every class in output order, written by hand", () => {
    const text =
      kaggleHeader(["beagle", 'a,"b"', "中"]) +
      kaggleRecords(["x/1.jpg", "2,3.jpg"], Float32Array.of(0.5, 0.25, 0.25, 1, 0, 1.23456789e-9), 3);
    assert.equal(text, 'id,beagle,"a,""b""",中\nx/1,0.5,0.25,0.25\n"2,3",1,0,1.234568e-9\n');
  });

  it("come back as they were, whatever the names, and sum to one", () => {
    const random = new SeededRandom(7);
    const count = trickyNames.length;
    const keys = Array.from({ length: 40 }, (_, i) => `${trickyNames[i % count] ?? ""}-${i}.jpg`);
    const probabilities = new Float32Array(keys.length * count);
    for (let row = 0; row < keys.length; row += 1) {
      // Logits up to ±30, so that a row has probabilities near 1 and near 1e-20.
      const powers = trickyNames.map(() => Math.exp(random.uniform(-30, 30)));
      const sum = powers.reduce((total, power) => total + power, 0);
      probabilities.set(
        powers.map((power) => power / sum),
        row * count,
      );
    }
    const [header, ...records] = parseCsv(
      kaggleHeader(trickyNames) + kaggleRecords(keys, probabilities, count),
    );
    assert.deepEqual(header, ["id", ...trickyNames]);
    assert.deepEqual(
      records.map(([id]) => id),
      keys.map((key) => key.slice(0, -".jpg".length)),
    );
    for (const [row, record] of records.entries()) {
      const values = record.slice(1).map(Number);
      assert.equal(values.length, count);
      assert.ok(Math.abs(values.reduce((total, value) => total + value, 0) - 1) < 1e-5);
      for (const [index, value] of values.entries()) {
        const expected = probabilities[row * count + index] ?? NaN;
        assert.ok(Math.abs(value - expected) <= 5e-7 * expected, `${value} for ${expected}`);
      }
    }
  });
});

describe("RepeatedIds", () => {
  const find = (keys: readonly string[]): RepeatedIds => {
    const ids = new RepeatedIds();
    for (const key of [...keys].sort(compareUtf8)) ids.add(key);
    return ids;
  };

  it("finds keys that differ in their extension alone, though others stand between them", () => {
    const ids = find(["a", "a!.jpg", "a-2.jpg", "a.jpg", "a.jpg.png", "a.k/b.jpg", "a.png", "b/a.jpg"]);
    // a: a, a.jpg, a.png. Alone: a!, a-2, a.jpg (of a.jpg.png), a.k/b, b/a.
    assert.equal(ids.count, 2);
    assert.deepEqual(ids.shown, ["a and a.jpg", "a and a.png"]);
  });

  it("agrees with a set of all ids", () => {
    const random = new SeededRandom(11);
    const letters = ["a", "b", ".", "/", "-", "中"];
    let repeated = 0;
    for (let round = 0; round < 300; round += 1) {
      const keys = new Set<string>();
      for (let i = 0; i < 60; i += 1) {
        const length = 1 + Math.floor(random.uniform(0, 7));
        const key = Array.from({ length }, () => letters[Math.floor(random.uniform(0, letters.length))]).join(
          "",
        );
        // What a store takes as a key and a listing does not hide.
        if (key.split("/").every((segment) => segment !== "" && !segment.startsWith("."))) keys.add(key);
      }
      const distinct = new Set([...keys].map(kaggleId));
      assert.equal(find([...keys]).count, keys.size - distinct.size, [...keys].join(" "));
      repeated += keys.size - distinct.size;
    }
    assert.ok(repeated > 100, "the rounds have something to find");
  });
});
