import assert from "node:assert/strict";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { bundleManifest, openStore, runConfig, runKeys } from "@trommel/common";
import { resolveRunFeatures } from "@trommel/common/artefacts";
import { parseSealedAs, readInput } from "@trommel/common/codec";
import { embeddingsOf } from "#coordinator/resolve/scoring/asked-options";
import { resolveScoring } from "#coordinator/resolve/scoring/resolve-scoring";
import { resolveImages } from "#coordinator/resolve/scoring/scored-images";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("resolve-scoring");
const golden = fileURLToPath(new URL("../../../../golden/archives", import.meta.url));
const model = fileURLToPath(
  new URL("../../../../stores/2026-11-28/bucket/store/runs/first/bundle", import.meta.url),
);

describe("a scoring of archives", () => {
  const archives = join(folder, "archives");
  const resolve = (source: string, output: string) =>
    resolveScoring({
      ...{ store: openStore(join(folder, "store")), source, archives: {}, model, output },
      ...{ topK: undefined, formats: undefined, shardSize: 8 },
    });

  it("is refused into their prefix, where its Parquet would be an archive of the next generation", async () => {
    await cp(golden, archives, { recursive: true });
    for (const output of [archives, join(archives, "scores")])
      await assert.rejects(resolve(archives, output), {
        code: "invalid-argument",
        message: /inside what is scored/,
      });
    const { config } = await resolve(archives, join(folder, "scores"));
    assert.equal(config.from?.type, "archives");
  });

  it("may be next to a single one, for nothing else is listed", async () => {
    const { config } = await resolve(join(archives, "gnu.tar"), join(archives, "scores"));
    assert.equal(config.from?.type === "archives" && config.from.object, "gnu.tar");
  });
});

describe("a scoring of a manifest", () => {
  it("is refused with an archive or another file in place of the folder of its keys", async () => {
    const manifest = join(folder, "list.csv");
    await writeFile(manifest, "key\na.jpg\n");
    await cp(golden, join(folder, "golden"), { recursive: true });
    for (const [source, message] of [
      [join(folder, "golden", "gnu.tar"), /it is an archive.*Give the folder of the images/],
      [manifest, /it is a file\. Give the folder/],
    ] as const)
      await assert.rejects(
        resolveScoring({
          ...{ store: openStore(join(folder, "store")), source, manifest: { location: manifest }, model },
          ...{ output: join(folder, "out"), topK: undefined, formats: undefined, shardSize: 8 },
        }),
        { message },
      );
  });
});

describe("a scoring of stored features", () => {
  it("has the shards of its run: another size is refused, whatever it is", async () => {
    const store = openStore(join(model, "../../.."));
    const key = runKeys("first").config;
    const run = await resolveRunFeatures(
      store,
      parseSealedAs(runConfig, await store.get(key), key),
      readInput,
    );
    const resolve = (shardSize: number | undefined) =>
      resolveImages({ source: undefined, shardSize }, run, undefined);
    assert.equal((await resolve(undefined)).shardSize, 16);
    for (const size of [16, 256])
      await assert.rejects(resolve(size), {
        code: "invalid-argument",
        message: `cannot score stored features (--features-of) with --shard-size ${size}: the run first has stored them in shards of 16 images, which are scored as they are. Leave it out`,
      });
  });

  it("is refused with too many numbers for a part, without the advice to give a shard size", async () => {
    const manifest = bundleManifest.parse(JSON.parse(await readFile(join(model, "bundle.json"), "utf8")));
    const refusal = (featuresOf: string | undefined) => () =>
      embeddingsOf({ vector: "raw" }, { formats: ["jsonl"], shardSize: 2 ** 23, featuresOf, manifest });
    const code = "invalid-argument";
    assert.throws(refusal(undefined), { code, message: /numbers\. Give --shard-size \d+ or less$/ });
    assert.throws(refusal("first"), {
      code,
      message:
        /numbers\. The run first has stored .*: leave --features-of out and score its pictures with --shard-size/,
    });
  });
});
