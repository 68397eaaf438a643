import assert from "node:assert/strict";
import { join } from "node:path";
import { it } from "node:test";
import { canonicalJson, openStore, recipe, runKeys, type ScoringConfig } from "@trommel/common";
import type { SourceForm } from "@trommel/common/artefacts";
import { imagesOfScoring } from "@trommel/coordinator/evaluation";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

it("has the images of a scoring of stored features as their run has listed them", async () => {
  const store = openStore(join(await temporaryFolder("scored-images"), "store"));
  const hash = "a".repeat(64);
  const dataset = "file:///photographs";
  const columns = { imageColumn: null, keyColumn: null, labelColumn: null };
  const from: SourceForm = { type: "archives", object: null, ...columns };
  const config = {
    ...{ formatVersion: 1, id: "a", dataset, from, export: null, side: 32 },
    recipe: recipe.parse({ backbones: ["net"], include: ["*.jpg"] }),
    labels: { classes: null, tableSha256: null },
    backbones: [{ id: "net@0123456789ab", hash, dimension: 5, inputSize: 32 }],
    fingerprint: hash,
  };
  await store.put(runKeys("a").config, Buffer.from(canonicalJson(config)));
  const scoring = { id: "s", source: dataset, featuresOf: { run: "a", fingerprint: hash } } as ScoringConfig;
  const place = { location: dataset, from };
  const selection = { include: ["*.jpg"], exclude: [] };
  for (const toScore of [true, false])
    assert.deepEqual(await imagesOfScoring(store, scoring, { toScore }), { place, selection });

  await store.delete([runKeys("a").config]);
  await assert.rejects(imagesOfScoring(store, scoring, { toScore: true }), {
    code: "not-found",
    message: /cannot score the images of s by another model: they are those of a, which .* does not have/,
  });
  assert.deepEqual(await imagesOfScoring(store, scoring, { toScore: false }), {
    place: { location: dataset, from: undefined },
    selection: { include: [], exclude: [] },
  });
  store.close();
});
