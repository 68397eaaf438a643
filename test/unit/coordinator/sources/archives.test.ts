import assert from "node:assert/strict";
import { readFile, truncate, writeFile, copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { openStore, type ShardEntry } from "@trommel/common";
import type { ArchivesForm } from "@trommel/common/artefacts";
import { openParquet } from "@trommel/common/parquet";
import { archiveSource } from "#coordinator/sources/archives/archive-source";
import { checkArchives } from "#coordinator/sources/archives/check-archives";
import type { ListedImage } from "#coordinator/sources/image-source";
import { ArchiveRanges } from "#gpu-worker/image/read/archive-ranges";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

/** Written by Python's tarfile and zipfile and by pyarrow: see test/golden/archives.py. */
const golden = fileURLToPath(new URL("../../../../golden/", import.meta.url));
const { pictures, archives } = JSON.parse(await readFile(join(golden, "archives.json"), "utf8")) as {
  readonly pictures: Readonly<Record<string, { readonly label: string; readonly base64: string }>>;
  readonly archives: Readonly<Record<string, readonly string[]>>;
};
const form: ArchivesForm = {
  type: "archives",
  object: null,
  imageColumn: null,
  keyColumn: null,
  labelColumn: null,
};
const folder = await temporaryFolder("archives");

async function listed(
  object: string,
  at = join(golden, "archives"),
  more: object = {},
): Promise<ListedImage[]> {
  const source = archiveSource({ ...form, object, ...more }, openStore(at));
  const found: ListedImage[] = [];
  for await (const image of source.list("")) found.push(image);
  return found;
}

/** The bytes of every image, as a worker reads them. */
async function contents(images: readonly ListedImage[], at = join(golden, "archives")): Promise<Buffer[]> {
  const store = openStore(at);
  const entries: ShardEntry[] = images.map(({ key, sizeBytes, etag, at: place }) => ({
    key,
    sizeBytes,
    etag,
    at: place,
  }));
  const ranges = new ArchiveRanges(entries);
  const read = await Promise.all(
    entries.map((entry) => ranges.read(store, entry.at?.object ?? "", entry, new AbortController().signal)),
  );
  ranges.close();
  return read.map((bytes) => Buffer.from(bytes));
}

const bytesOf = (name: string): Buffer => Buffer.from(pictures[name]?.base64 ?? "", "base64");

describe("archives that Python wrote", () => {
  for (const [archive, names] of Object.entries(archives)) {
    if (archive === "samples.tar") continue;
    it(`lists and reads the pictures of ${archive} in its order`, async () => {
      const isPlainTable = archive.startsWith("plain-");
      const images = await listed(archive, undefined, isPlainTable ? { keyColumn: "name" } : {});
      assert.deepEqual(
        images.map(({ key }) => key),
        names.map((name) => `${archive}/${name}`),
      );
      assert.deepEqual(await contents(images), names.map(bytesOf));
      assert.deepEqual(
        images.map(({ sizeBytes }) => sizeBytes),
        names.map((name) => bytesOf(name).length),
      );
    });
  }

  it("takes labels of a table by the names of its classes, and of samples from the files beside", async () => {
    const expected = Object.keys(pictures)
      .sort()
      .map((name) => pictures[name]?.label);
    const table = await listed("struct-snappy.parquet", undefined, { labelColumn: "kind" });
    assert.deepEqual(
      table.map(({ label }) => label),
      expected,
    );
    const samples = await listed("samples.tar");
    const images = samples.filter(({ skip }) => skip === undefined);
    assert.deepEqual(
      images.map(({ key }) => key),
      expected.map((_, i) => `samples.tar/${String(i).padStart(3, "0")}.png`),
    );
    assert.deepEqual(
      images.map(({ label }) => label),
      expected,
    );
    assert.equal(samples.length, 2 * images.length);
  });

  it("passes over what was listed before", async () => {
    const source = archiveSource({ ...form, object: "gnu.tar" }, openStore(join(golden, "archives")));
    const keys: string[] = [];
    for await (const { key } of source.list("", { passed: 10 })) keys.push(key);
    assert.deepEqual(
      keys,
      (archives["gnu.tar"] ?? []).slice(10).map((name) => `gnu.tar/${name}`),
    );
  });
});

describe("damaged archives", () => {
  const damagedCopy = async (archive: string, damage: (path: string) => Promise<void>) => {
    const at = join(folder, `${archive}-${Math.abs(archive.length)}-${damage.name}`);
    await mkdir(at, { recursive: true });
    await copyFile(join(golden, "archives", archive), join(at, archive));
    await damage(join(at, archive));
    return { at, images: await listed(archive, at) };
  };
  const check = ({ at, images }: Awaited<ReturnType<typeof damagedCopy>>, archive: string) => {
    const last = images.at(-1);
    assert.ok(last?.at?.damaged !== undefined, "the damage is listed, and last");
    const whole = images.slice(0, -1);
    assert.ok(whole.every(({ at: place }) => place?.damaged === undefined));
    const names = (archives[archive] ?? []).slice(0, whole.length);
    assert.deepEqual(
      whole.map(({ key }) => key),
      names.map((name) => `${archive}/${name}`),
    );
    return { whole, offset: last.at.damaged.offset, at };
  };

  it("lists what comes before a missing end, with the offset, at every length of a tar", async () => {
    const { size } = await import("node:fs/promises").then(({ stat }) =>
      stat(join(golden, "archives", "ustar.tar")),
    );
    for (let length = 0; length < size - 1024; length += 700) {
      const cut = await damagedCopy("ustar.tar", async function cut(path) {
        await truncate(path, length);
      });
      const ends = cut.images.findIndex(({ at }) => at?.damaged !== undefined);
      if (ends === -1) continue;
      const { whole, offset } = check(cut, "ustar.tar");
      // The block after the last whole file begins where the file is padded to.
      assert.ok(offset <= Math.ceil(length / 512) * 512, `${offset} of ${length}`);
      assert.deepEqual(
        await contents(whole, cut.at),
        (archives["ustar.tar"] ?? []).slice(0, whole.length).map(bytesOf),
      );
    }
  });

  it("lists damage for a table whose names cannot be read, and none of the rows whose names they are", async () => {
    const archive = "plain-none.parquet";
    const at = join(folder, "names");
    await mkdir(at, { recursive: true });
    const bytes = await readFile(join(golden, "archives", archive));
    const store = openStore(join(golden, "archives"));
    const object = { key: archive, sizeBytes: bytes.length, etag: "" };
    const { metadata } = await openParquet(store, object, archive);
    const columns = metadata.row_groups[0]?.columns.map(({ meta_data: of }) => of) ?? [];
    const names = columns.find((of) => of?.path_in_schema.join() === "name");
    assert.ok(names !== undefined);
    const start = Number(names.dictionary_page_offset ?? names.data_page_offset);
    await writeFile(join(at, archive), bytes.fill(0xff, start, start + Number(names.total_compressed_size)));
    const images = await listed(archive, at, { keyColumn: "name" });
    assert.equal(images.length, 1);
    assert.match(images[0]?.at?.damaged?.why ?? "", /row group 1/);
  });

  it("gives each damage a key of its own, where several are at one place", async () => {
    // Twelve pictures of three kinds in one page, each named by its kind alone: three have a name of their own.
    const images = await listed("struct-snappy.parquet", undefined, { keyColumn: "kind" });
    assert.equal(images.filter(({ at }) => at?.damaged === undefined).length, 3);
    assert.equal(new Set(images.map(({ key }) => key)).size, 12);
    const again = await listed("struct-snappy.parquet", undefined, { keyColumn: "kind" });
    assert.deepEqual(again, images);
  });

  it("refuses what is no archive, by name", async () => {
    for (const archive of ["pax.tar", "mixed.zip", "plain-none.parquet", "packed.tar.gz"]) {
      const { images } = await damagedCopy(archive, async function none(path) {
        await writeFile(path, "this is a text and no archive".repeat(100));
      });
      assert.equal(images.length, 1, archive);
      assert.ok(images[0]?.at?.damaged !== undefined, archive);
    }
  });
});

describe("the columns of a table of images", () => {
  it("are named before anything is queued where one that is asked for is missing", async () => {
    const archive = "struct-snappy.parquet";
    const at = join(folder, "columns");
    await mkdir(at, { recursive: true });
    await copyFile(join(golden, "archives", archive), join(at, archive));
    for (const object of [archive, null])
      for (const [asked, flag] of [
        [{ imageColumn: "nope" }, "--image-column"],
        [{ keyColumn: "nope" }, "--key-column"],
        [{ labelColumn: "nope" }, "--label-column"],
      ] as const)
        await assert.rejects(checkArchives(at, { ...form, object, ...asked }), {
          code: "bad-dataset",
          message: new RegExp(
            `struct-snappy\\.parquet: it has no column "nope"\\. It has the columns "image", "kind".*\\. Name .*${flag}`,
          ),
        });
    // A table that comes later lists its damage, and not the numbers of its rows for names.
    const [damage, ...others] = await listed(archive, at, { keyColumn: "nope" });
    assert.match(damage?.at?.damaged?.why ?? "", /it has no column "nope"/);
    assert.deepEqual(others, []);
  });
});
