import assert from "node:assert/strict";
import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { openStore } from "@trommel/common";
import { resolveScoring } from "#coordinator/resolve/scoring/resolve-scoring";
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
