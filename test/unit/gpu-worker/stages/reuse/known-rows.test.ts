import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  featureShardKey,
  openStore,
  recipe as recipeSchema,
  sha256Hex,
  writeWithMarker,
  type RunConfig,
} from "@trommel/common";
import { RowIdentities } from "#common/artefacts/shards/row-identities";
import { ShardViews } from "#gpu-worker/image/views/shard-views";
import { KnownRows } from "#gpu-worker/stages/reuse/known-rows";
import { RowLibrary } from "#gpu-worker/stages/reuse/row-library";
import { temporaryFolder } from "../../../../support/files/temp-folder.js";

describe("rows known by their listing", () => {
  it("are none where the store stated no etag: a changed file of the same size would look the same", async () => {
    const store = openStore(await temporaryFolder("known-rows"));
    const [dataset, fingerprint, hash] = ["s3://pictures", sha256Hex("fingerprint"), sha256Hex("shard")];
    const entries = [
      { key: "a.png", sizeBytes: 7, etag: "" },
      { key: "b.png", sizeBytes: 7, etag: "x" },
    ];
    const identities = RowIdentities.blank(entries.length);
    for (const [image, entry] of entries.entries()) {
      identities.setListed(image, dataset, entry);
      identities.copyRows(image, Buffer.from(sha256Hex(entry.key), "hex"));
    }
    const marker = { rows: 2, ok: 2, failed: [], images: identities.pack() };
    await writeWithMarker(store, featureShardKey(fingerprint, hash), Buffer.from("rows"), marker);
    const library = new RowLibrary(store, fingerprint);
    await library.lookAround("run");
    const config = { dataset, fingerprint } as RunConfig;
    const shard = { formatVersion: 1, index: 0, hash: sha256Hex("other"), entries, skipped: [] } as const;
    const views = new ShardViews(recipeSchema.parse({ backbones: ["any"] }), entries);
    const known = new KnownRows({ store, library, config, shard: { ...shard, skipped: [] }, views });
    await known.matchListed();
    assert.deepEqual([...known.positions], [1]);
  });
});
