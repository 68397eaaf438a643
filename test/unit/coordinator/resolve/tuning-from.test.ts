import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import {
  runKeys,
  shardHash,
  writeWithMarker,
  type ObjectStore,
  type RecipeInput,
  type RunConfig,
} from "@trommel/common";
import { computeTuningPlan, readTuningPlan, testPart, writeTuningPlan } from "@trommel/common/artefacts";
import { jsonBytes, putJsonOnce, sealedJson } from "@trommel/common/codec";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { ClaimedRuns } from "../../../support/runs/claimed-runs.js";

/** Runs that continue from the network of another one: what they begin with, and whose images it may have learned from. */

const folder = await temporaryFolder("tuning-from");
const keys = ["a", "b"].flatMap((label) => [1, 2, 3, 4].map((number) => `${label}/${number}.png`));
const parts = [0, 1, 1, testPart, 1, 0, testPart, 1];
let runs: ClaimedRuns;
let store: ObjectStore;

before(async () => {
  runs = await ClaimedRuns.create(folder, keys);
  ({ store } = runs);
});

const claimed = (id: string, tune: RecipeInput["tune"] = {}): Promise<RunConfig> =>
  runs.claim(id, { tune: { batchSize: 2, epochs: 3, ...tune } });

/** What the run without tuning comes to. */
async function divided(id: string, { etags = keys, of = parts } = {}): Promise<void> {
  const untuned = runKeys(`${id}-untuned`);
  const entries = keys.map((key, at) => ({ key, sizeBytes: 1, etag: etags[at] ?? "" }));
  const shard = { formatVersion: 1, index: 0, hash: shardHash(entries), entries, skipped: [] };
  await store.put(untuned.shard(0), jsonBytes(shard));
  const split = {
    ...{ formatVersion: 3, seed: 0, folds: 2, parts: [of] },
    ...{ groups: null, grouping: null, contradictions: null, notes: [] },
  };
  await putJsonOnce(store, untuned.split, sealedJson(split));
}

/** A round of one epoch. @returns the sha256 of its checkpoint */
async function merged(id: string, round: number): Promise<string> {
  const { tuning } = runKeys(id);
  const heldOut = { images: 2, loss: 1, accuracy: 1 };
  const figures = { round, epoch: round + 1, steps: round + 1, training: { loss: 1, accuracy: 1 }, heldOut };
  await putJsonOnce(store, tuning.round(round), sealedJson({ formatVersion: 1, figures }));
  const checkpoint = Buffer.from(`checkpoint ${id} ${round}`);
  return (await writeWithMarker(store, tuning.checkpoint(round + 1), checkpoint, { figures })).sha256;
}

describe("a run that continues from another one", () => {
  it("begins with the checkpoint that it had once, after the epochs that it has seen", async () => {
    const first = await claimed("first");
    await divided("first");
    assert.equal((await writeTuningPlan(store, first)).from, null);
    await merged("first", 0);
    const sha256 = await merged("first", 1);
    const second = await claimed("second", { from: "first" });
    await divided("second");
    const { from } = await writeTuningPlan(store, second);
    assert.deepEqual(from, { run: "first", round: 1, sha256, epochs: 2 });
    await merged("second", 0);
    const third = await claimed("third", { from: "second" });
    await divided("third");
    assert.equal((await computeTuningPlan(store, third)).from?.epochs, 3);
    // The plan is what the jobs go by.
    assert.deepEqual((await readTuningPlan(store, "second")).from, from);
  });

  it("is refused before that one has a round", async () => {
    await claimed("new");
    const config = await claimed("early", { from: "new" });
    await divided("early");
    await assert.rejects(computeTuningPlan(store, config), {
      code: "not-found",
      message: /cannot continue from new: it has no round of tuning/,
    });
  });

  it("is refused where the images or their parts are others, whatever the recipes say", async () => {
    const message = /first may have learned from images that are held out here/;
    const otherwise = {
      parts: { of: [1, 0, 1, testPart, 1, 0, testPart, 1] },
      "test-part": { of: [0, 1, testPart, testPart, 1, 0, testPart, 1] },
      images: { etags: keys.toSpliced(2, 1, "changed") },
    };
    for (const [id, division] of Object.entries(otherwise)) {
      const config = await claimed(id, { from: "first" });
      await divided(id, division);
      await assert.rejects(computeTuningPlan(store, config), { code: "invalid-argument", message });
    }
  });
});
