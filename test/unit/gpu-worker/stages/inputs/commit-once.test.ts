import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openStore, TrommelError, writeWithMarker } from "@trommel/common";
import { commitOnce } from "#gpu-worker/stages/inputs/commit-once";
import { temporaryFolder } from "../../../../support/files/temp-folder.js";

describe("a shard that is committed once", async () => {
  const folder = await temporaryFolder("commit-once");
  const bytes = (text: string): Uint8Array => Buffer.from(text);

  it("leaves what another has committed as it is", async () => {
    const store = openStore(join(folder, "other"));
    await writeWithMarker(store, "part", bytes("first"));
    await commitOnce(() => writeWithMarker(store, "part", bytes("second")));
    assert.equal(Buffer.from(await store.get("part")).toString(), "first");
  });

  it("is not done where something stands in the way that is no artefact", async () => {
    for (const name of ["part", "part.json"]) {
      const root = join(folder, name);
      await mkdir(join(root, name), { recursive: true });
      const store = openStore(root);
      await assert.rejects(
        commitOnce(() => writeWithMarker(store, "part", bytes("first"))),
        { code: "conflict", message: /folder has this name/ },
      );
    }
  });

  it("is not done where the store asks to write it again", async () => {
    const conflict = new TrommelError("conflict", "somebody else is writing it", { retryable: true });
    await assert.rejects(
      commitOnce(() => Promise.reject(conflict)),
      conflict,
    );
  });
});
