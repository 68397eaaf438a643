import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  evaluationKeys,
  openStore,
  scoringKeys,
  sha256Hex,
  writeWithMarker,
  type ObjectStore,
} from "@trommel/common";
import type { ModelEvaluation } from "@trommel/common/artefacts";
import { jsonBytes, sealedJson } from "@trommel/common/codec";
import { locationOf } from "@trommel/common/store";
import { collectGarbage } from "#coordinator/store-keeping/collect-garbage";
import { countRun, ownScores, removeRun } from "#coordinator/store-keeping/remove-run";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { writeScores } from "../../../support/runs/written-scores.js";

const folder = await temporaryFolder("evaluation-garbage");
let stores = 0;

const openNew = (): ObjectStore => openStore(`file://${join(folder, `store-${(stores += 1)}`)}`);

async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

/** As somebody would a week later. */
function collect(store: ObjectStore, remove: boolean) {
  const weekMs = 7 * 24 * 3600 * 1000;
  const nowMs = Date.now() + weekMs;
  return collectGarbage({ store, remove, withBackbones: false, olderThanMs: weekMs / 7, nowMs });
}

/** Scores that an evaluation had made, and their scoring. */
async function evaluationScores(store: ObjectStore, name: string): Promise<{ id: string; scores: string }> {
  const { scores } = evaluationKeys(sha256Hex(name), sha256Hex("listing"));
  const rows = [{ key: "a/1.png", probabilities: [1, 0] }];
  const location = locationOf(store.url, scores);
  const { id } = await writeScores(
    { location, name, classes: ["a", "b"], rows, source: "file:///images" },
    store,
  );
  return { id, scores };
}

const figure = { value: 1, low: 1, high: 1 };

async function writeEvaluation(store: ObjectStore, name: string, location: string): Promise<string> {
  const folder = evaluationKeys(sha256Hex(name), sha256Hex("listing")).evaluation(sha256Hex(name));
  const evaluation: ModelEvaluation = {
    formatVersion: 1,
    model: { location, modelSha256: sha256Hex(name) },
    source: "file:///images",
    scores: "file:///scores",
    labels: ["a", "b"],
    figures: {
      ...{ images: 1, accuracy: figure, balancedAccuracy: figure, macroF1: figure, logLoss: null },
      ...{ expectedCalibrationError: figure, perClass: [], confusion: [], reliability: [] },
    },
    unknown: 0,
    leftOut: { unlabelled: 0, otherLabels: [], notScored: 0 },
    mistakes: [],
    comparison: null,
    notes: [],
  };
  await store.put(`${folder}/evaluation.jsonl`, Buffer.from("{}\n"));
  await store.put(`${folder}/evaluation.html`, Buffer.from("<p>"));
  await writeWithMarker(store, `${folder}/evaluation.json`, jsonBytes(evaluation));
  return folder;
}

describe("evaluations in a store", () => {
  it("keep their scores as long as the scoring exists", async () => {
    const store = openNew();
    const { id, scores } = await evaluationScores(store, "kept");
    assert.equal((await collect(store, true)).objects, 0);
    const count = (await keysOf(store, `${scores}/`)).length;
    await store.delete([scoringKeys(id).config]);
    const found = await collect(store, true);
    assert.equal(found.byKind.evaluations?.objects, count);
    assert.deepEqual(await keysOf(store, "evaluations/"), []);
  });

  it("go if their run is gone, and stay for a model from elsewhere", async () => {
    const store = openNew();
    const gone = await writeEvaluation(store, "gone", locationOf(store.url, "runs/gone/bundle"));
    const foreign = await writeEvaluation(store, "foreign", "s3://bucket/model");
    const found = await collect(store, true);
    assert.equal(found.byKind.evaluations?.objects, 4);
    assert.deepEqual(await keysOf(store, `${gone}/`), []);
    assert.equal((await keysOf(store, `${foreign}/`)).length, 4);
  });

  it("are half-written without the marker of evaluation.json", async () => {
    const store = openNew();
    const folder = await writeEvaluation(store, "half", "s3://bucket/model");
    await store.delete([`${folder}/evaluation.json.json`]);
    const found = await collect(store, false);
    assert.deepEqual(found.byKind.incomplete?.objects, 3);
    assert.equal(found.byKind.evaluations, undefined);
  });

  it("lose their scores when the scoring is removed, which other scores do not", async () => {
    const store = openNew();
    const { id, scores } = await evaluationScores(store, "removed");
    const scoring = { kind: "scoring", id } as const;
    assert.equal(await ownScores(store, scoring), scores);
    const all = (await keysOf(store, "")).length;
    assert.equal((await countRun(store, scoring)).objects, all);
    await removeRun(store, scoring);
    assert.deepEqual(await keysOf(store, ""), []);

    const elsewhere = `file://${join(folder, "elsewhere")}`;
    const rows = [{ key: "a/1.png", probabilities: [1, 0] }];
    const written = await writeScores(
      { location: elsewhere, name: "other", classes: ["a", "b"], rows, source: "file:///images" },
      store,
    );
    const other = { kind: "scoring", id: written.id } as const;
    assert.equal(await ownScores(store, other), undefined);
    await removeRun(store, other);
    const output = openStore(elsewhere);
    assert.ok((await keysOf(output, "")).includes("_SUCCESS.json"));
    output.close();
  });

  it("have scores that are garbage if nobody can tell whose they are", async () => {
    const store = openNew();
    const { scores } = await evaluationScores(store, "damaged");
    await store.put(`${scores}/_trommel/scoring.json`, Buffer.from("{"));
    assert.ok(((await collect(store, false)).byKind.evaluations?.objects ?? 0) > 0);
    await store.put(`${scores}/_trommel/scoring.json`, sealedJson({ id: "x" }));
    assert.ok(((await collect(store, false)).byKind.evaluations?.objects ?? 0) > 0);
  });
});
