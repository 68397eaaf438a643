import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { namedNormalizations, openStore, type ObjectStore } from "@trommel/common";
import { importBackbone, type ImportBackboneOptions } from "#gpu-worker/backbone/import/import-backbone";
import { sequentialFiles, type PlainLayer, type PlainWeight } from "../../../support/models/layers-files.js";

const { none, unit, torch, tf } = namedNormalizations;
const shape = { batch_input_shape: [null, 16, 16, 3] };

const rescaling = (scale: number, offset: number, more: object = {}): PlainLayer => ({
  class_name: "Rescaling",
  config: { name: "rescaling", scale, offset, ...more },
});
const statistics = (name: string, mean: readonly number[], variance: readonly number[]): PlainWeight[] => [
  { name: `${name}/mean`, shape: [3], values: mean },
  { name: `${name}/variance`, shape: [3], values: variance },
];
const normalizing: PlainLayer = { class_name: "Normalization", config: { name: "normalization", axis: -1 } };
const batchNormalization: PlainLayer = {
  class_name: "BatchNormalization",
  config: { name: "bn", axis: -1, epsilon: 0.001, scale: false, center: false },
};
const moving = (mean: number, variance: number): PlainWeight[] => [
  { name: "bn/moving_mean", shape: [3], values: [mean, mean, mean] },
  { name: "bn/moving_variance", shape: [3], values: [variance, variance, variance] },
];

const first = ([layer, ...others]: readonly PlainLayer[]): PlainLayer[] =>
  layer === undefined ? [] : [{ ...layer, config: { ...layer.config, ...shape } }, ...others];

/** What begins the network, and the normalisation that it leaves to do. */
const cases: readonly (readonly [
  string,
  readonly PlainLayer[],
  readonly PlainWeight[],
  typeof none | typeof unit | typeof tf,
])[] = [
  ["Rescaling to 0..1", [rescaling(1 / 255, 0)], [], none],
  ["Rescaling to -1..1", [rescaling(1 / 127.5, -1)], [], none],
  [
    "Rescaling and ImageNet's Normalization",
    [rescaling(1 / 255, 0), normalizing],
    statistics("normalization", [0.485, 0.456, 0.406], [0.0524, 0.0502, 0.0506]),
    none,
  ],
  [
    "Normalization of 0..255",
    [normalizing],
    statistics("normalization", [124, 116, 104], [3410, 3260, 3290]),
    none,
  ],
  [
    "Normalization of 0..1",
    [normalizing],
    statistics("normalization", [0.485, 0.456, 0.406], [0.0524, 0.0502, 0.0506]),
    unit,
  ],
  ["a batch normalisation of 0..255", [batchNormalization], moving(120, 3600), none],
  ["a batch normalisation of normalised pixels", [batchNormalization], moving(0.02, 0.9), tf],
  ["Normalization that learnt nothing", [normalizing], statistics("normalization", [0, 0, 0], [1, 1, 1]), tf],
];

describe("a layers model that begins with its own normalisation", () => {
  let folder: string;
  let store: ObjectStore;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "trommel-preprocessing-"));
    store = openStore(join(folder, "store"));
  });
  after(async () => {
    store.close();
    await rm(folder, { recursive: true });
  });

  const kernel = Array.from({ length: 4 * 4 * 3 * 5 }, (_, i) => Math.sin(i * 2.3));
  async function imported(
    begin: readonly PlainLayer[],
    weights: readonly PlainWeight[],
    choices: Partial<ImportBackboneOptions>,
  ) {
    const conv = {
      class_name: "Conv2D",
      config: {
        name: "conv",
        filters: 5,
        kernel_size: [4, 4],
        strides: [4, 4],
        padding: "valid",
        use_bias: false,
      },
    };
    const files = sequentialFiles(first([...begin, conv]), [
      ...weights,
      { name: "conv/kernel", shape: [4, 4, 3, 5], values: kernel },
    ]);
    const read = (path: string | undefined) =>
      path === undefined ? Promise.resolve(files.modelJson) : files.readFile(path);
    return importBackbone({ source: { url: "file:///model.json", read }, name: "x", store, ...choices });
  }

  for (const [name, begin, weights, expected] of cases) {
    it(`leaves the rest to do: ${name}`, async () => {
      assert.deepEqual((await imported(begin, weights, {})).normalization, expected);
      if (expected === tf) {
        assert.deepEqual((await imported(begin, weights, { normalization: torch })).normalization, torch);
        return;
      }
      await assert.rejects(
        imported(begin, weights, { normalization: torch }),
        /its own normalisation.*on top/,
      );
      const forced = await imported(begin, weights, { normalization: torch, forceNormalization: true });
      assert.deepEqual(forced.normalization, torch);
    });
  }
});
