import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { contradictionNotes, findContradictions } from "#gpu-worker/stages/dividing/contradictions";
import { RepeatedHashes } from "#gpu-worker/stages/dividing/repeated-hashes";
import { wholeParts, type SplitImage } from "#gpu-worker/stages/dividing/whole-parts";

let made = 0;

function image(content: string, side: SplitImage["side"], label: string, group?: string): SplitImage {
  made += 1;
  return { shard: 0, position: made, key: `${label}/${made}.jpg`, content, side, label, group };
}

/** The sides after the moves. */
function sidesOf(images: readonly SplitImage[], unrelated: Parameters<typeof wholeParts>[1] = new Map()) {
  const { toTraining, toValidation } = wholeParts(images, unrelated, 0);
  return images.map(({ position, side }) => {
    if (toTraining.some((place) => place.position === position)) return "train";
    return toValidation.some((place) => place.position === position) ? "validation" : side;
  });
}

describe("parts that keep copies whole", () => {
  it("have no copy on both sides, and validate on about as many images of each class", () => {
    // Thirty pictures with four copies each under two labels, an eighth of them drawn to validate.
    const images = Array.from({ length: 120 }, (_, i) =>
      image(`noise ${i % 30}`, (i * 7) % 8 === 0 ? "validation" : "train", (i * 13) % 5 < 2 ? "a" : "b"),
    );
    const sides = sidesOf(images);
    for (let picture = 0; picture < 30; picture += 1)
      assert.equal(new Set(sides.filter((_, i) => i % 30 === picture)).size, 1);
    const wanted = images.filter(({ side }) => side === "validation").length;
    const found = sides.filter((side) => side === "validation").length;
    // The last set of a class may take it three beyond.
    assert.ok(found > 0 && Math.abs(found - wanted) <= 2 * 3, `${found} of ${wanted}`);
    assert.deepEqual(sidesOf(images), sides);
  });

  it("keep the members of a group and what chains with them on one side", () => {
    const images = [
      image("x", "validation", "a", "g"),
      image("y", "train", "a", "g"),
      image("y", "train", "a"),
      image("z", "train", "a"),
      image("z", "train", "a"),
    ];
    const sides = sidesOf(images, new Map([["a", { train: 9, validation: 0 }]]));
    assert.equal(new Set(sides.slice(0, 3)).size, 1);
    assert.deepEqual(sides.slice(3), ["train", "train"]);
  });

  it("leave every class an image to train on, and the test part as it is", () => {
    const single = [image("x", "validation", "a"), image("x", "train", "a")];
    assert.deepEqual(sidesOf(single), ["train", "train"]);
    assert.deepEqual(sidesOf(single, new Map([["a", { train: 1, validation: 0 }]])), [
      "validation",
      "validation",
    ]);
    const tested = [image("t", "test", "a"), image("t", "train", "a"), image("t", "train", "a")];
    assert.deepEqual(sidesOf(tested), ["test", "train", "train"]);
  });
});

describe("equal bytes under different labels", () => {
  it("are counted in sets, with an image of each label", () => {
    const images = [
      ...["a", "a", "b"].map((label, i) => ({ content: "x", label, key: `x${i}` })),
      ...["a", "a"].map((label, i) => ({ content: "y", label, key: `y${i}` })),
      { content: "z", label: "b", key: "z" },
    ];
    const found = findContradictions(images);
    assert.deepEqual(found, {
      sets: 1,
      images: 3,
      examples: [
        [
          { key: "x0", label: "a" },
          { key: "x2", label: "b" },
          { key: "x1", label: "a" },
        ],
      ],
    });
    assert.match(contradictionNotes(found)[0] ?? "", /^3 images in 1 set .*\(x0 is "a", x2 is "b"/);
    const many = Array.from({ length: 4000 }, (_, i) => ({
      content: `${i >> 1}`,
      label: `${i % 2}`,
      key: `${i}`,
    }));
    const most = findContradictions(many);
    assert.deepEqual([most?.sets, most?.images, most?.examples.length], [2000, 4000, 10]);
    assert.equal(findContradictions(images.slice(3)), null);
    assert.deepEqual(contradictionNotes(null), []);
  });

  it("are found by repeated hashes", () => {
    const hashes = new RepeatedHashes();
    const hash = (i: number): string => i.toString(16).padStart(13, "0") + "f".repeat(19);
    for (let i = 0; i < 3000; i += 1) hashes.add(hash(i));
    assert.equal(hashes.find(), undefined);
    hashes.add(hash(7));
    const isRepeated = hashes.find();
    assert.deepEqual([isRepeated?.(hash(7)), isRepeated?.(hash(8))], [true, false]);
  });
});
