import assert from "node:assert/strict";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import {
  canonicalJson,
  openStore,
  recipe,
  runKeys,
  sha256Hex,
  writeWithMarker,
  type ObjectStore,
  type RunConfig,
} from "@trommel/common";
import {
  decodeFoldResult,
  encodeStandardization,
  foldUnits,
  testPart,
  type FoldSplit,
  type FoldUnit,
} from "@trommel/common/artefacts";
import { readInput } from "@trommel/common/codec";
import { autoHeadOf, type AutoHead } from "@trommel/common/recipe";
import type { StageContext } from "#gpu-worker/stages/context";
import { divide } from "#gpu-worker/stages/divide";
import { fold } from "#gpu-worker/stages/fold";
import { readFoldSplit } from "#gpu-worker/stages/folding/fold-split";
import { readOutOfFold, type FoldedImages, type OutOfFold } from "#gpu-worker/stages/folding/out-of-fold";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { extractedRun, putExtractedShard } from "../../../support/runs/extracted-run.js";

/**
 * Every image has a dimension of its own, in which all others are 0. A kernel's row of a dimension that was 0 in all of training has no
 * gradient and no decay, so that its weights are those that it began with: they tell which images a head has seen.
 */

const images = 18;
const keys = Array.from({ length: images }, (_, at) => `${at}.jpg`);
const labels = ["glass", "paper"];
const labelOf = (at: number): string => labels[at % 2] as string;
const optimizer = { type: "adamw", learningRate: 0.01, weightDecay: 0 };
const perceptron = {
  name: "mlp",
  head: { type: "mlp", hidden: [4], activation: "tanh", dropout: 0 },
  training: { epochs: 2, batchSize: 4, optimizer, schedule: { type: "constant" }, keep: "last" },
};
const linear = { name: "linear", head: { type: "linear" }, penalties: [0.1] };

interface Trained {
  readonly unit: FoldUnit;
  /** The row of the kernel next to the input for each image. */
  readonly kernel: readonly string[];
  readonly heldOut: ReadonlyMap<number, readonly number[]>;
}

const root = await temporaryFolder("repeated-divisions");
let head: AutoHead;
let split: FoldSplit;
let trained: Trained[];
let outOfFold: { readonly images: FoldedImages; readonly choices: readonly OutOfFold[] };

function contextOf(store: ObjectStore): StageContext {
  const ignore = () => undefined;
  const { signal } = new AbortController();
  const rest = { onImages: ignore, onNote: ignore, onUnits: ignore };
  return { store, threads: 1, engine: "onnx", log: undefined as never, signal, ...rest };
}

async function writeRun(store: ObjectStore): Promise<RunConfig> {
  const asked = recipe.parse({
    backbones: ["net"],
    views: { count: 1 },
    labels: { source: { type: "csv", file: "file:///labels.csv" } },
    split: { test: 0.2 },
    head: { folds: 3, repeats: 3, learningCurve: false, candidates: [linear, perceptron] },
  });
  const table = canonicalJson({ formatVersion: 1, labels: keys.map((key, at) => [key, labelOf(at)]) });
  const config = extractedRun(asked, images, { classes: labels, tableSha256: sha256Hex(table) });
  const of = runKeys(config.id);
  const listing = { formatVersion: 1, shards: 1, listed: images, images, skipped: 0, sizeBytes: 0 };
  const classes = labels.map((label) => ({ label, images: images / 2 }));
  await store.put(of.config, Buffer.from(canonicalJson(config)));
  await store.put(of.labels, Buffer.from(table));
  await store.put(of.listing, Buffer.from(canonicalJson({ ...listing, classes })));
  await putExtractedShard(store, config, { index: 0, keys }, (row, column) => (row === column ? 1 : 0));
  const asTheyAre = {
    mean: new Float32Array(images),
    scale: new Float32Array(images).fill(1),
  };
  await writeWithMarker(store, of.standardization, encodeStandardization(asTheyAre), {});
  return config;
}

async function readTrained(store: ObjectStore, index: number, unit: FoldUnit): Promise<Trained> {
  const key = runKeys("r").fold(index);
  const { heads, heldOut } = decodeFoldResult((await readInput(store, key)).bytes, key);
  const kernel = Object.values(heads[0] ?? {}).find(({ shape }) => shape[0] === images);
  assert.ok(kernel !== undefined);
  const width = kernel.data.length / images;
  const rows = keys.map((_, at) => kernel.data.slice(at * width, (at + 1) * width).join());
  const logits = heldOut.logits[0] ?? new Float32Array();
  const byImage = [...heldOut.position].map(
    (position, row) =>
      [position, [...logits.subarray(row * labels.length, (row + 1) * labels.length)]] as const,
  );
  return { unit, kernel: rows, heldOut: new Map(byImage) };
}

before(async () => {
  const store = openStore(join(root, "store"));
  const config = await writeRun(store);
  const context = contextOf(store);
  await divide("r", context);
  head = autoHeadOf(config);
  split = await readFoldSplit(store, "r");
  const units = foldUnits(head, split);
  trained = [];
  for (const [index, unit] of units.entries()) {
    await fold("r", index, context);
    trained.push(await readTrained(store, index, unit));
  }
  outOfFold = await readOutOfFold(config, head, split, context);
});

/** The part of each image in a division. */
const partsIn = (repeat: number): readonly number[] =>
  (repeat === 0 ? split.parts[0] : split.furtherParts?.[repeat - 1]?.[0]) ?? [];
const ofPerceptron = (repeat: number): Trained[] =>
  trained.filter(({ unit }) => unit.candidate === 1 && unit.repeat === repeat);

describe("heads of several divisions", () => {
  it("are nine of the perceptron, three for each of three divisions, and three linear ones", () => {
    assert.deepEqual(
      [0, 1, 2].map((repeat) => ofPerceptron(repeat).length),
      [3, 3, 3],
    );
    assert.equal(trained.filter(({ unit }) => unit.candidate === 0).length, 3);
    assert.equal(new Set([0, 1, 2].map((repeat) => partsIn(repeat).join())).size, 3);
  });

  it("predict the images that they never saw, and saw all others but the test part", () => {
    for (const repeat of [0, 1, 2]) {
      const parts = partsIn(repeat);
      const heads = ofPerceptron(repeat);
      const untrained = keys.map((_, at) => {
        const fold = parts[at] === testPart ? 0 : (parts[at] ?? -1);
        return heads[fold]?.kernel[at];
      });
      for (const { unit, kernel, heldOut } of heads) {
        const own = keys.flatMap((_, at) => (parts[at] === unit.fold ? [at] : []));
        assert.deepEqual([...heldOut.keys()], own);
        const unseen = keys.flatMap((_, at) => (kernel[at] === untrained[at] ? [at] : []));
        const expected = keys.flatMap((_, at) =>
          parts[at] === unit.fold || parts[at] === testPart ? [at] : [],
        );
        assert.deepEqual(unseen, expected);
      }
    }
  });

  it("begin with other weights in each division, and with the same in all folds of one", () => {
    const tested = partsIn(0).indexOf(testPart);
    const starts = [0, 1, 2].map(
      (repeat) => new Set(ofPerceptron(repeat).map(({ kernel }) => kernel[tested])),
    );
    assert.deepEqual(
      starts.map(({ size }) => size),
      [1, 1, 1],
    );
    assert.equal(new Set(starts.flatMap((of) => [...of])).size, 3);
  });

  it("are averaged for each image, over one head of each division", () => {
    const { images: folded, choices } = outOfFold;
    assert.deepEqual(
      choices.map(({ repeats }) => repeats),
      [1, 3],
    );
    const [ofLinear, ofMlp] = choices;
    assert.ok(ofLinear !== undefined && ofMlp !== undefined);
    assert.deepEqual(
      [...folded.fold],
      partsIn(0).filter((part) => part >= 0),
    );
    for (const [row, position] of folded.position.entries()) {
      for (const column of labels.keys()) {
        const at = row * labels.length + column;
        const said = [0, 1, 2].map((repeat) => {
          const by = ofPerceptron(repeat).filter(({ heldOut }) => heldOut.has(position));
          assert.equal(by.length, 1);
          return by[0]?.heldOut.get(position)?.[column] ?? Number.NaN;
        });
        const mean = ((said[0] ?? 0) + (said[1] ?? 0) + (said[2] ?? 0)) / 3;
        assert.ok(Math.abs((ofMlp.logits[at] ?? Number.NaN) - mean) < 1e-12);
        assert.equal(new Set(said).size, 3);
        const alone = trained.find(({ unit, heldOut }) => unit.candidate === 0 && heldOut.has(position));
        assert.equal(ofLinear.logits[at], alone?.heldOut.get(position)?.[column]);
      }
    }
  });
});
