import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { BoundLayer } from "#gpu-worker/backbone/layers/bound-layer";
import { classifierEnd } from "#gpu-worker/backbone/layers/classifier-end";

/** A chain of layers by their names and classes; a dense one with its units. */
function chain(
  ...given: readonly (readonly [
    name: string,
    className: string,
    units?: number | undefined,
    activation?: string,
  ])[]
) {
  const layers = new Map(
    given.map(([name, className, units, activation = "linear"], i) => {
      const weights = new Map(units === undefined ? [] : [["kernel", { shape: [8, units] }] as const]);
      const inputs = i === 0 ? [] : [given[i - 1]![0]];
      return [
        name,
        { name, className, inputs, weights, config: { activation } } as unknown as BoundLayer,
      ] as const;
    }),
  );
  return { layers, inputs: [given[0]![0]], outputs: [given.at(-1)![0]] };
}

describe("the end of a network that is imported", () => {
  it("looks like a classifier's if the last dense layer tells few classes apart", () => {
    const before = [
      ["in", "InputLayer"],
      ["pool", "GlobalAveragePooling2D"],
    ] as const;
    const classes = { output: "classes", units: 5, isSoftmax: false, before: "pool" };
    assert.deepEqual(classifierEnd(chain(...before, ["classes", "Dense", 5])), classes);
    assert.deepEqual(
      classifierEnd(chain(...before, ["logits", "Dense", 5], ["drop", "Dropout"], ["act", "Activation"])),
      { ...classes, output: "act" },
    );
  });

  it("gives probabilities however many classes a softmax is over", () => {
    const before = [
      ["in", "InputLayer"],
      ["pool", "GlobalAveragePooling2D"],
    ] as const;
    const found = { output: "p", units: 1000, isSoftmax: true, before: "pool" };
    assert.deepEqual(classifierEnd(chain(...before, ["p", "Dense", 1000, "softmax"])), found);
    assert.deepEqual(classifierEnd(chain(...before, ["l", "Dense", 1000], ["p", "Softmax"])), found);
    const activation = ["p", "Activation", undefined, "softmax"] as const;
    assert.deepEqual(classifierEnd(chain(...before, ["l", "Dense", 1000], activation)), found);
  });

  it("does not if it is wide, or no dense layer ends it", () => {
    assert.equal(classifierEnd(chain(["in", "InputLayer"], ["wide", "Dense", 256])), undefined);
    assert.equal(
      classifierEnd(chain(["in", "InputLayer"], ["classes", "Dense", 5], ["n", "BatchNormalization"])),
      undefined,
    );
    assert.equal(classifierEnd(chain(["in", "InputLayer"], ["pool", "GlobalAveragePooling2D"])), undefined);
  });
});
