import assert from "node:assert/strict";
import { mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { openStore, runKeys, TrommelError, writeWithMarker } from "@trommel/common";
import { readLabelLookup } from "#common/artefacts/runs/labels";
import { readInput } from "#common/codec/stage-input";
import { objectBytesAtMost, readBounds } from "#common/store/read-bounds";
import { readShard } from "#gpu-worker/stages/inputs/listing";
import { readUnresolvedConfig } from "#gpu-worker/stages/inputs/run";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

/** Objects that are larger than anything of ours, as files with holes: they take no room, and reading one would show. */

const folder = await temporaryFolder("read-bounds");
const store = openStore(folder);

async function putHole(key: string, sizeBytes: number): Promise<void> {
  const path = join(folder, key);
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "w");
  await file.truncate(sizeBytes);
  await file.close();
}

/** Runs something that must fail, and hardly take memory for it. */
async function fails(code: string, key: string, work: () => Promise<unknown>): Promise<void> {
  const before = process.memoryUsage().rss;
  await assert.rejects(work(), (thrown) => {
    assert.ok(thrown instanceof TrommelError, String(thrown));
    assert.equal(thrown.code, code, thrown.message);
    assert.ok(thrown.message.includes(key), thrown.message);
    return true;
  });
  const grownBytes = process.memoryUsage().rss - before;
  assert.ok(grownBytes < 48 * 1024 * 1024, `it took ${grownBytes} bytes to refuse it`);
}

describe("an artefact that is larger than its kind can be", () => {
  it("is refused by its size, and a configuration sooner than what has a row per file", async () => {
    const keys = runKeys("r");
    await putHole(keys.config, readBounds.document.maxBytes + 1);
    await fails("too-large", keys.config, () => readUnresolvedConfig(store, "r"));
    const shard = keys.shard(0);
    await putHole(shard, readBounds.dataset.maxBytes + 1);
    await fails("too-large", shard, () => readShard(store, shard));
    await putHole(keys.labels, readBounds.dataset.maxBytes + 1);
    const labels = { classes: null, tableSha256: "a".repeat(64) } as const;
    await fails("too-large", keys.labels, () => readLabelLookup(store, { id: "r", labels }));
  });

  it("counts as damaged where it is larger than its marker says, and is removed", async () => {
    const key = "features/f/x.safetensors";
    await writeWithMarker(store, key, Buffer.from("small"));
    await putHole(key, 2 ** 31);
    await fails("missing-input", key, () => readInput(store, key));
    assert.equal(await store.head(key), undefined);
  });

  it("is refused where nobody reads as much, whatever its marker says", async () => {
    const key = "features/f/y.safetensors";
    const sizeBytes = objectBytesAtMost + 1;
    await putHole(key, sizeBytes);
    const marker = { formatVersion: 1, key, sha256: "a".repeat(64), sizeBytes };
    await store.put(`${key}.json`, Buffer.from(JSON.stringify(marker)));
    await fails("too-large", key, () => readInput(store, key));
    await fails("too-large", key, () => store.get(key));
  });
});
