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
import { ImageIdentities } from "#common/artefacts/shards/image-identities";
import { ShardViews } from "#gpu-worker/image/views/shard-views";
import { ReusedFeatures } from "#gpu-worker/stages/reuse/reused-features";
import { FeatureIndex } from "#gpu-worker/stages/reuse/feature-index";
import { temporaryFolder } from "../../../../support/files/temp-folder.js";

describe("rows known by their listing", () => {
  it("are none where the store stated no etag: a changed file of the same size would look the same", async () => {
    const store = openStore(await temporaryFolder("reused-features"));
    const [dataset, fingerprint, hash] = ["s3://pictures", sha256Hex("fingerprint"), sha256Hex("shard")];
    const entries = [
      { key: "a.png", sizeBytes: 7, etag: "" },
      { key: "b.png", sizeBytes: 7, etag: "x" },
    ];
    const identities = ImageIdentities.blank(entries.length);
    for (const [image, entry] of entries.entries()) {
      identities.setListed(image, dataset, entry);
      identities.copyContent(image, Buffer.from(sha256Hex(entry.key), "hex"), undefined);
    }
    const marker = { rows: 2, ok: 2, failed: [], images: identities.pack() };
    await writeWithMarker(store, featureShardKey(fingerprint, hash), Buffer.from("rows"), marker);
    const index = new FeatureIndex(store, fingerprint);
    await index.lookAround("run");
    const config = { dataset, fingerprint } as RunConfig;
    const shard = { formatVersion: 1, index: 0, hash: sha256Hex("other"), entries, skipped: [] } as const;
    const views = new ShardViews(recipeSchema.parse({ backbones: ["any"] }), entries);
    const known = new ReusedFeatures({ store, index, config, shard: { ...shard, skipped: [] }, views });
    await known.matchListed();
    assert.deepEqual([...known.positions], [1]);
  });
});
