import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";
import { runInProcess } from "../../../support/process/cli.js";

/** Sources that cannot be used: one error each with file and row, before anything is queued. */

const folder = await temporaryFolder("bad-sources");
const golden = fileURLToPath(new URL("../../../../golden/archives/", import.meta.url));
const model = fileURLToPath(
  new URL("../../../../stores/2026-11-28/bucket/store/runs/first/bundle", import.meta.url),
);
const keys = ["a/1.png", "a/2.png", "b/1.png", "b/2.png"];
let store = "";

const written = async (name: string, content: string | Uint8Array): Promise<string> => {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
};

before(async () => {
  store = await storeWithTinyBackbone(folder);
  for (const key of keys) await written(`pictures/${key}`, key);
});

/** The one line that a command is refused with. */
async function refused(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runInProcess([...args, "--store", store, "--dry-run"]);
  assert.notEqual(code, 0, stdout);
  assert.match(stderr, /^trommel: cannot /);
  assert.deepEqual(await readdir(store), ["backbones"]);
  return stderr.trimEnd();
}
const score = (source: string, ...more: string[]) =>
  refused(["score", source, ...more, "--model", model, "--output", join(folder, "scores")]);
const train = (source: string, ...more: string[]) =>
  refused(["train", source, ...more, "--backbone", tinyBackbone.name]);
const pictures = join(folder, "pictures");

describe("a bad manifest", () => {
  const list = (name: string, ...rows: string[]) => written(name, `${rows.join("\n")}\n`);

  it("without the column is refused with those that it has", async () => {
    const table = await list("none.csv", "name,kind", "a/1.png,a");
    assert.match(
      await score(pictures, "--manifest", table),
      /none\.csv, line 1: it has no column "key"; it has "name", "kind"\./,
    );
    const other = await list("other.csv", "key", "a/1.png");
    assert.match(
      await train(pictures, "--manifest", other, "--label-column", "kind"),
      /other\.csv, line 1: it has no column "kind"; it has "key"\. Name another with --label-column/,
    );
  });

  it("with repeated keys is refused with their rows", async () => {
    const table = await list("twice.csv", "key", "a/1.png", "a/2.png", "b/1.png", "a/1.png", "a/2.png");
    const said = await score(pictures, "--manifest", table);
    assert.match(said, /it has 2 faults/);
    assert.match(
      said,
      /line 5: the key "a\/1\.png" is on line 2 too\n\s+line 6: the key "a\/2\.png" is on line 3 too$/,
    );
  });

  it("with a label in some rows only is refused by a training", async () => {
    const table = await list("some.csv", "key,kind", "a/1.png,a", "a/2.png,", "b/1.png,b");
    assert.match(
      await train(pictures, "--manifest", table, "--label-column", "kind"),
      /some\.csv, line 3: its "kind" is empty, and training needs it of every image/,
    );
  });

  it("with a carried column that has a score's name is refused", async () => {
    for (const name of ["label", "probability", "top", "probability_2", "embedding"]) {
      const table = await list(`${name}.csv`, `key,${name}`, "a/1.png,x");
      const said = await score(pictures, "--manifest", table);
      assert.match(said, new RegExp(`cannot carry the column "${name}" of file:.*, line 1, into the scores`));
    }
  });
});

describe("a bad archive", () => {
  it("that is none is refused by its name, in one sentence", async () => {
    for (const [name, why] of [
      ["short.tar", /short\.tar, at byte 0: it is no tar archive: it has 8 bytes/],
      ["text.tar", /text\.tar, at byte 0: it is no tar archive: no file's header begins there/],
      ["text.tar.gz", /text\.tar\.gz, at byte 0: it is no whole gzip stream/],
      ["text.zip", /text\.zip, .*it is no zip archive, or its end is missing/],
      ["text.parquet", /text\.parquet: it is no whole Parquet file/],
    ] as const) {
      const path = await written(name, "no such ".repeat(name.startsWith("short") ? 1 : 100));
      const said = await score(path);
      assert.match(said, why);
      assert.equal(said.split("cannot read").length, 2, said);
      assert.match(await train(path), why);
    }
    assert.match(await score(pictures, "--archives"), /no object there ends in \.tar/);
  });

  it("of Parquet in a compression that is not known is refused with those that are", async () => {
    const bytes = await readFile(join(golden, "struct-snappy.parquet"));
    // Thrift's compact form: field 4 of a column's metadata is its codec, 1 for SNAPPY and 3 for LZO in zigzag; field 5 follows.
    const [snappy, lzo] = [Buffer.of(0x15, 2, 0x16), Buffer.of(0x15, 6, 0x16)];
    for (let at = bytes.indexOf(snappy); at !== -1; at = bytes.indexOf(snappy, at + 1)) lzo.copy(bytes, at);
    const said = await score(await written("lzo.parquet", bytes));
    assert.match(
      said,
      /lzo\.parquet: its column "image\.bytes" is compressed by LZO, and UNCOMPRESSED, .*are known\. Write it with one of these$/,
    );
  });

  it("of Parquet whose column holds no pictures is refused with the columns that there are", async () => {
    const said = await score(join(golden, "struct-snappy.parquet"), "--image-column", "kind");
    assert.match(
      said,
      /its column "kind" holds no pictures: neither plain bytes nor \{bytes, path\}\. It has the columns "image", "kind"/,
    );
  });
});
