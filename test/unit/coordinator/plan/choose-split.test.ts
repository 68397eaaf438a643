import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compareUtf8, SeededRandom, type Recipe } from "@trommel/common";
import { chooseSplit, splitRank } from "#coordinator/plan/split/choose-split";
import { RankedImages, sides, type Side } from "#coordinator/plan/split/ranked-images";
import fc from "fast-check";
import { chooseByKeys } from "../../../support/runs/split-by-keys.js";

type Dataset = ReadonlyMap<string, readonly string[]>;
type Choice = Pick<Recipe["validation"], "fraction" | "of"> & {
  readonly remembered: ReadonlySet<string>;
  readonly rankOf: (key: string) => number;
};

/** The choice from ranks, over a dataset that is listed in order and cut into shards of seven. @returns keys */
function chooseSplitOf(dataset: Dataset, { remembered, ...choice }: Choice, shardSize = 7): string[] {
  const sideOf = (key: string) => (remembered.has(key) ? sides.validation : sides.open);
  return choosePartsOf(dataset, { ...choice, sideOf, test: null }, shardSize).validation;
}

/** Both parts, chosen from ranks. @returns keys */
function choosePartsOf(
  dataset: Dataset,
  choice: Omit<Choice, "remembered"> & {
    readonly sideOf: (key: string) => Side;
    readonly test: number | null;
  },
  shardSize = 7,
): { readonly validation: string[]; readonly test: string[] | null } {
  const { rankOf, sideOf, ...share } = choice;
  const labelOf = new Map([...dataset].flatMap(([label, keys]) => keys.map((key) => [key, label] as const)));
  const listing = [...labelOf.keys()].sort(compareUtf8);
  const images = new RankedImages();
  const shards: string[][] = [];
  for (let start = 0; start < listing.length; start += shardSize) {
    const shard = listing.slice(start, start + shardSize);
    for (const key of shard) images.add(labelOf.get(key) ?? "", rankOf(key), sideOf(key));
    images.endShard();
    shards.push(shard);
  }
  const keysAt = (part: Iterable<Uint32Array>): string[] => {
    const positions = Array.from(part, (ofShard) => [...ofShard]);
    assert.equal(positions.length, shards.length);
    return positions.flatMap((chosen, index) =>
      chosen.map((position) => shards[index]?.[position] ?? "none"),
    );
  };
  const { validation, test } = chooseSplit(images, share);
  return { validation: keysAt(validation), test: test === null ? null : keysAt(test) };
}

const keysOf = (label: string, count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, i) => `${label}/${from + i}.jpg`);
const datasetOf = (counts: Readonly<Record<string, number>>): Map<string, string[]> =>
  new Map(Object.entries(counts).map(([label, count]) => [label, keysOf(label, count)]));
const choose = (keys: Dataset, remembered: readonly string[] = [], seed = 1, fraction = 0.1) =>
  chooseSplitOf(keys, {
    rankOf: (key) => splitRank(seed, key),
    fraction,
    of: "class",
    remembered: new Set(remembered),
  });
const countOf = (keys: readonly string[], label: string): number =>
  keys.filter((key) => key.startsWith(`${label}/`)).length;

describe("chooseSplit", () => {
  it("gives every class its rounded share, and one at the least", () => {
    const chosen = choose(datasetOf({ a: 2, b: 14, c: 15, d: 100, Ä: 1000 }));
    for (const [label, quota] of [
      ["a", 1],
      ["b", 1],
      ["c", 2],
      ["d", 10],
      ["Ä", 100],
    ] as const) {
      assert.equal(countOf(chosen, label), quota, label);
    }
    assert.deepEqual(chosen, [...chosen].sort(compareUtf8));
    assert.equal(new Set(chosen).size, chosen.length);
  });

  it("is right too where ranks are all high, and for more classes than two bytes number", () => {
    const high = { rankOf: (key: string) => 2 ** 32 - 1 - key.length, fraction: 0.1, of: "class" } as const;
    const dataset = datasetOf({ a: 1200, b: 20 });
    assert.deepEqual(
      chooseSplitOf(dataset, { ...high, remembered: new Set() }),
      chooseByKeys(dataset, { ...high, remembered: new Set() }),
    );

    const images = new RankedImages();
    const classes = 40_000;
    for (const rank of [5, 3]) for (let i = 0; i < classes; i += 1) images.add(String(i), rank, sides.open);
    images.endShard();
    const second = Array.from({ length: classes }, (_, i) => classes + i);
    assert.deepEqual(
      [...chooseSplit(images, { fraction: 0.1, of: "class", test: null }).validation.at(0)],
      second,
    );
  });

  it("leaves a training image in every class, however large the share", () => {
    const chosen = choose(datasetOf({ a: 2, b: 3, c: 10 }), [], 1, 0.99);
    assert.deepEqual(
      ["a", "b", "c"].map((label) => countOf(chosen, label)),
      [1, 2, 9],
    );
  });

  it("does not depend on the order of keys or classes", () => {
    const dataset = datasetOf({ a: 30, b: 50, c: 20 });
    const shuffled = new Map(
      [...dataset].reverse().map(([label, keys]) => [label, new SeededRandom(5).shuffle([...keys])]),
    );
    assert.deepEqual(choose(shuffled), choose(dataset));
  });

  it("depends on the seed, and keys of a class do not decide another's", () => {
    const dataset = datasetOf({ a: 100, b: 100 });
    assert.notDeepEqual(choose(dataset, [], 1), choose(dataset, [], 2));
    const withMore = choose(datasetOf({ a: 100, b: 100, c: 40 }));
    assert.deepEqual(
      withMore.filter((key) => !key.startsWith("c/")),
      choose(dataset),
    );
  });

  it("never lets an image leave validation as the dataset grows, in any order of arrival", () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const random = new SeededRandom(seed);
      const arrivals = random.shuffle([...keysOf("a", 120), ...keysOf("b", 45)]);
      let remembered: string[] = [];
      for (let known = 40; known <= arrivals.length; known += 25) {
        const present = arrivals.slice(0, known);
        const dataset = new Map(
          ["a", "b"].map((label) => [label, present.filter((key) => key.startsWith(label))]),
        );
        const chosen = choose(dataset, remembered, seed, 0.2);
        for (const key of remembered) assert.ok(chosen.includes(key), key);
        for (const [label, keys] of dataset) {
          assert.equal(countOf(chosen, label), Math.max(1, Math.round(0.2 * keys.length)));
        }
        remembered = chosen;
      }
    }
  });

  it("keeps what is remembered where images went away, and forgets keys that are gone", () => {
    const chosen = choose(datasetOf({ a: 10, b: 10 }), ["a/0.jpg", "a/1.jpg", "a/99.jpg"]);
    assert.deepEqual(
      chosen.filter((key) => key.startsWith("a/")),
      ["a/0.jpg", "a/1.jpg"],
    );
  });

  it("takes a share of the smallest class from every class, rounded down and one at the least", () => {
    const chooseAlike = (counts: Readonly<Record<string, number>>, remembered: readonly string[] = []) =>
      chooseSplitOf(datasetOf(counts), {
        rankOf: (key) => splitRank(1, key),
        fraction: 0.1,
        of: "smallest-class",
        remembered: new Set(remembered),
      });
    const shares = (chosen: readonly string[]) => ["a", "b", "c"].map((label) => countOf(chosen, label));
    // A tenth of 66 is 6.6: Kaggle's smallest of 120 breeds has 66 pictures, and 6 of each breed validate.
    assert.deepEqual(shares(chooseAlike({ a: 66, b: 126, c: 90 })), [6, 6, 6]);
    assert.deepEqual(shares(chooseAlike({ a: 9, b: 500, c: 20 })), [1, 1, 1]);
    const larger = chooseAlike({ a: 66, b: 126, c: 90 });
    const grown = chooseAlike({ a: 80, b: 126, c: 90 }, larger);
    assert.deepEqual(shares(grown), [8, 8, 8]);
    assert.ok(larger.every((key) => grown.includes(key)));
  });

  it("refuses a single class, no class, and a class with one image", () => {
    const refused = (counts: Readonly<Record<string, number>>, named: RegExp) =>
      assert.throws(() => choose(datasetOf(counts)), { code: "bad-dataset", message: named });
    refused({}, /there is none/);
    refused({ glass: 10 }, /glass/);
    refused({ glass: 10, metal: 1, paper: 1 }, /"metal", "paper"/);
  });

  it("chooses the keys that a choice from whole keys would, also where ranks are equal", () => {
    const labels = ["a", "b/x", "é", "😀", "ﬁ"];
    const datasets = fc
      .array(
        fc.record({
          label: fc.constantFrom(...labels),
          name: fc.string({ unit: "binary", minLength: 1, maxLength: 3 }),
          remembered: fc.boolean(),
        }),
        { minLength: 4, maxLength: 120 },
      )
      .map((images) => new Map(images.map((image) => [`${image.label}/${image.name}`, image])));
    const shares = fc.double({ min: 0.01, max: 0.99, noNaN: true });
    const of = fc.constantFrom("class" as const, "smallest-class" as const);
    const ranks = fc.constantFrom(1, 3, 2 ** 32);
    let compared = 0;
    fc.assert(
      fc.property(
        datasets,
        shares,
        of,
        ranks,
        fc.integer({ min: 1, max: 9 }),
        (images, fraction, of, ranks, size) => {
          const dataset = new Map<string, string[]>();
          for (const [key, { label }] of images) dataset.set(label, [...(dataset.get(label) ?? []), key]);
          fc.pre(dataset.size > 1 && [...dataset.values()].every((keys) => keys.length > 1));
          const remembered = new Set([...images].flatMap(([key, image]) => (image.remembered ? [key] : [])));
          const choice = { fraction, of, remembered, rankOf: (key: string) => splitRank(7, key) % ranks };
          let expected: string[] | undefined;
          try {
            expected = chooseByKeys(dataset, choice);
          } catch {
            assert.throws(() => chooseSplitOf(dataset, choice, size), { code: "bad-dataset" });
            return;
          }
          compared += 1;
          assert.deepEqual(chooseSplitOf(dataset, choice, size), expected);
        },
      ),
      { numRuns: 400 },
    );
    assert.ok(compared > 100, `${compared} splits were compared`);
  });

  describe("with a test part", () => {
    const labelOf = (key: string): string => key.split("/")[0] ?? "";
    const countsOf = (keys: readonly string[]) => ["a", "b"].map((label) => countOf(keys, label));
    const drawn = {
      rankOf: (key: string) => splitRank(1, key),
      of: "class" as const,
      fraction: 0.1,
      sideOf: () => sides.open,
    };

    it("takes its share of every class, and the validation part its share of the rest", () => {
      const { validation, test } = choosePartsOf(datasetOf({ a: 100, b: 30 }), { ...drawn, test: 0.2 });
      assert.deepEqual(countsOf(test ?? []), [20, 6]);
      assert.deepEqual(countsOf(validation), [8, 2]);
      assert.deepEqual(
        validation.filter((key) => test?.includes(key)),
        [],
      );
      assert.equal(choosePartsOf(datasetOf({ a: 9, b: 9 }), { ...drawn, test: null }).test, null);
    });

    it("leaves an image to train on and one to validate on, however large the share and equal the ranks", () => {
      const all = fc.record({ a: fc.integer({ min: 2, max: 12 }), b: fc.integer({ min: 2, max: 12 }) });
      fc.assert(
        fc.property(
          all,
          fc.double({ min: 0.05, max: 0.95, noNaN: true }),
          fc.integer({ min: 1, max: 3 }),
          (counts, share, ranks) => {
            const dataset = datasetOf(counts);
            const rankOf = (key: string) => splitRank(1, key) % ranks;
            const { validation, test } = choosePartsOf(dataset, { ...drawn, rankOf, test: share });
            const both = [...validation, ...(test ?? [])];
            assert.equal(new Set(both).size, both.length, "an image is in one part");
            for (const [label, keys] of dataset) {
              const tested = countOf(test ?? [], label);
              const wanted = Math.max(1, Math.round(share * keys.length));
              assert.equal(tested, Math.min(wanted, keys.length - 2));
              assert.ok(countOf(validation, label) >= 1 && tested + countOf(validation, label) < keys.length);
            }
          },
        ),
      );
    });

    it("is what a list names, and never loses an image that an earlier run tested on", () => {
      const listed = new Set(["a/1.jpg", "a/3.jpg", "b/0.jpg"]);
      const sideOf = (key: string) => (listed.has(key) ? sides.test : sides.open);
      const dataset = datasetOf({ a: 20, b: 10 });
      const named = choosePartsOf(dataset, { ...drawn, sideOf, test: null });
      assert.deepEqual(new Set(named.test), listed);
      assert.deepEqual(countsOf(named.validation), [2, 1]);
      const grown = choosePartsOf(dataset, { ...drawn, sideOf, test: 0.3 });
      assert.deepEqual(countsOf(grown.test ?? []), [6, 3]);
      for (const key of listed) assert.ok(grown.test?.includes(key), key);
    });

    it("is refused if it leaves a class nothing to train and validate on", () => {
      const sideOf = (key: string) => (key === "b/0.jpg" ? sides.open : sides.test);
      const mostly = (key: string) => (labelOf(key) === "b" ? sideOf(key) : sides.open);
      assert.throws(
        () => choosePartsOf(datasetOf({ a: 9, b: 4 }), { ...drawn, sideOf: mostly, test: null }),
        {
          code: "bad-dataset",
          message: /class "b" has one image outside the test part/,
        },
      );
    });
  });
});
