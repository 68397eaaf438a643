import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openStore, scoringKeys } from "@trommel/common";
import { parseFailureLimit, requireFewFailures, writeFailureLimit } from "@trommel/common/artefacts";
import { sealedJson } from "@trommel/common/codec";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("failure-limit");
const id = "score-x";
let made = 0;
const newStore = () => openStore(join(folder, String((made += 1))));
const listing = { formatVersion: 1, shards: 1, listed: 1010, images: 1000, skipped: 10, sizeBytes: 1 };
const failed = (count: number) => () => Promise.resolve(count);

describe("a limit of failures", () => {
  it("is a number of images or a percentage", () => {
    assert.deepEqual(parseFailureLimit("2%"), { formatVersion: 1, most: 2, unit: "percent" });
    assert.deepEqual(parseFailureLimit("0.5%"), { formatVersion: 1, most: 0.5, unit: "percent" });
    assert.deepEqual(parseFailureLimit(0), { formatVersion: 1, most: 0, unit: "images" });
    for (const asked of ["", "many", "-1", "1.5", "101%", "%", "1e3"])
      assert.throws(() => parseFailureLimit(asked), { code: "invalid-argument" });
  });

  it("allows as many and stops at one more", async () => {
    const store = newStore();
    await writeFailureLimit(store, id, parseFailureLimit(5));
    await requireFewFailures(store, id, failed(5));
    await assert.rejects(requireFewFailures(store, id, failed(6)), {
      code: "too-many-failures",
      retryable: false,
    });
    await writeFailureLimit(store, id, parseFailureLimit(6));
    await requireFewFailures(store, id, failed(6));
    await writeFailureLimit(store, id, undefined);
    await requireFewFailures(store, id, failed(1000));
  });

  it("waits for the listing if it is a share of it", async () => {
    const store = newStore();
    await writeFailureLimit(store, id, parseFailureLimit("1%"));
    await requireFewFailures(store, id, failed(1000));
    await store.put(scoringKeys(id).listing, sealedJson(listing));
    await requireFewFailures(store, id, failed(10));
    await assert.rejects(requireFewFailures(store, id, failed(11)), { message: /11 of 1000.*1% allows 10/ });
  });

  it("is a share of the listing of the generation that is scored", async () => {
    const store = newStore();
    await writeFailureLimit(store, id, parseFailureLimit("1%"));
    await store.put(scoringKeys(id).listing, sealedJson(listing));
    const next = scoringKeys(id).generation(1);
    const base = [{ generation: 0, first: 0, last: 0 }];
    await store.put(next.request, sealedJson({ formatVersion: 1, generation: 1, base, images: 1000 }));
    await requireFewFailures(store, id, failed(1000));
    await store.put(next.listing, sealedJson({ ...listing, listed: 210, images: 200 }));
    await requireFewFailures(store, id, failed(2));
    await assert.rejects(requireFewFailures(store, id, failed(3)), { message: /3 of 200.*1% allows 2/ });
  });
});
