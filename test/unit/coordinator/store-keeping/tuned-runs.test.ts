import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  backboneKeys,
  runKeys,
  writeWithMarker,
  type ObjectStore,
  type RecipeInput,
  type RunConfig,
} from "@trommel/common";
import { ownNormalization, resolveRunFeatures } from "@trommel/common/artefacts";
import { cancelSubject } from "#coordinator/run-control/attempts";
import { readStatus } from "#coordinator/run-control/status";
import { findSubject } from "#coordinator/run-control/subject";
import { removeBackbone } from "#coordinator/store-keeping/remove-backbone";
import { removeRun, tunedBackbonesOf } from "#coordinator/store-keeping/remove-run";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { ClaimedRuns } from "../../../support/runs/claimed-runs.js";

/** What stays of a run that tuned, and of the runs that came with it, when one of them is removed. */

const folder = await temporaryFolder("tuned-runs");
let runs: ClaimedRuns;
let store: ObjectStore;

before(async () => {
  const keys = ["a", "b"].flatMap((label) => [1, 2, 3].map((number) => `${label}/${number}.png`));
  runs = await ClaimedRuns.create(folder, keys);
  ({ store } = runs);
});
after(() => store.close());

const claim = (id: string, fields: Partial<RecipeInput>): Promise<RunConfig> => runs.claim(id, fields);
const inJson = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** A backbone in the store, as a run that tuned it names it. */
async function storeTuned(name: string, digit: string) {
  const id = `${name}@${digit.repeat(12)}`;
  await store.put(backboneKeys(id).spec, Buffer.from("{}"));
  return { id, hash: digit.repeat(64), dimension: 1, inputSize: 1, round: 0 };
}

describe("a run that tuned", () => {
  it("leaves the backbones that it took from the runs of its folds, those that are still there", async () => {
    await claim("several", { tune: { folds: 3, networks: "folds" } });
    const backbones = [];
    for (const fold of "123") backbones.push(await storeTuned(`net-several-fold-${fold}`, fold));
    await writeWithMarker(store, runKeys("several").tuning.networks, inJson({ backbones }));
    const [first = "", second = "", third = ""] = backbones.map(({ id }) => id);
    const run = { kind: "run", id: "several" } as const;
    assert.deepEqual(await tunedBackbonesOf(store, run), [first, second, third]);
    await assert.rejects(removeBackbone(store, second, true), { code: "conflict", message: /several/ });
    await store.delete([backboneKeys(second).spec]);
    assert.deepEqual(await tunedBackbonesOf(store, run), [first, third]);
  });

  it("is normalised as before, and keeps its backbone, once the run that measured its images is gone", async () => {
    const config = await claim("measured", { normalization: "dataset" });
    const tuned = await storeTuned("net-measured", "c");
    await writeWithMarker(store, runKeys("measured").tuning.backbone, inJson(tuned));
    const figures = { formatVersion: 1, mean: [1, 2, 3], deviation: [4, 5, 6], images: 6, pixels: 96 };
    await writeWithMarker(store, runKeys("measured-untuned").normalization, inJson(figures));
    const before = await resolveRunFeatures(store, config);
    assert.deepEqual(before.normalization, { mean: [1, 2, 3], deviation: [4, 5, 6] });
    await ownNormalization(store, config);
    await removeRun(store, { kind: "run", id: "measured-untuned" });
    assert.deepEqual(await resolveRunFeatures(store, config), before);
    await assert.rejects(removeBackbone(store, tuned.id, true), { code: "conflict", message: /measured/ });
  });

  it("is cancelled without the runs that it needed, once its heads are chosen", async () => {
    await claim("chosen", { tune: { folds: 2 } });
    for (const id of ["chosen-untuned", "chosen-fold-2"]) await removeRun(store, { kind: "run", id });
    const subject = await findSubject(store, "chosen");
    await assert.rejects(cancelSubject(store, subject, undefined), { code: "not-found" });
    await writeWithMarker(store, runKeys("chosen").choice, inJson({}));
    await cancelSubject(store, subject, undefined);
    assert.equal((await readStatus(store, subject, undefined)).phase, "cancelled");
  });

  it("with the networks of its folds is no run to continue from, nor is one of a fold without a test part", async () => {
    await claim("folds", { tune: { folds: 3, networks: "folds" } });
    await assert.rejects(claim("further", { tune: { from: "folds" } }), {
      code: "invalid-argument",
      message:
        /it takes the networks of its folds and has tuned none of its own\. Name a run that tuned one network in tune\.from/,
    });
    await assert.rejects(claim("further", { tune: { from: "folds-fold-1" }, head: { folds: 3 } }), {
      message: /it differs in split, so that/,
    });
  });
});
