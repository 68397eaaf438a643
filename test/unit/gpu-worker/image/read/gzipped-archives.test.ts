import assert from "node:assert/strict";
import { copyFile, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { openStore, TrommelError, type ObjectStore, type ShardEntry } from "@trommel/common";
import type { GetOptions } from "@trommel/common/store";
import { archiveSource } from "#coordinator/sources/archives/archive-source";
import { ArchiveRanges } from "#gpu-worker/image/read/archive-ranges";
import { temporaryFolder } from "../../../../support/files/temp-folder.js";

/** Written by Python's tarfile: see test/golden/archives.py. */
const golden = fileURLToPath(new URL("../../../../../golden/", import.meta.url));
const name = "packed.tar.gz";
const { pictures, archives } = JSON.parse(await readFile(join(golden, "archives.json"), "utf8")) as {
  readonly pictures: Readonly<Record<string, { readonly base64: string }>>;
  readonly archives: Readonly<Record<string, readonly string[]>>;
};
const expected = (archives[name] ?? []).map((picture) =>
  Buffer.from(pictures[picture]?.base64 ?? "", "base64"),
);
const never = new AbortController().signal;

/** A copy of the archive, and its pictures as they are listed. */
async function listed() {
  const folder = await temporaryFolder("gzipped-archives");
  const path = join(folder, name);
  await copyFile(join(golden, "archives", name), path);
  const store = openStore(folder);
  const form = { imageColumn: null, keyColumn: null, labelColumn: null };
  const entries: ShardEntry[] = [];
  const source = archiveSource({ type: "archives", object: name, ...form }, store);
  for await (const { key, sizeBytes, etag, at } of source.list(""))
    entries.push({ key, sizeBytes, etag, at });
  return { path, store, entries };
}

/** What becomes of each picture, where all are asked for at once. */
async function readAll(
  store: ObjectStore,
  entries: readonly ShardEntry[],
): Promise<(Buffer | TrommelError)[]> {
  const ranges = new ArchiveRanges(entries);
  try {
    return await Promise.all(
      entries.map((entry) =>
        ranges.read(store, name, entry, never).then(
          (bytes) => Buffer.from(bytes),
          (thrown: unknown) => {
            assert.ok(thrown instanceof TrommelError, String(thrown));
            return thrown;
          },
        ),
      ),
    );
  } finally {
    ranges.close();
  }
}

/** A store whose `get` is another. */
function withGet(
  store: ObjectStore,
  get: (key: string, options?: GetOptions) => Promise<Uint8Array>,
): ObjectStore {
  return Object.assign(Object.create(store) as ObjectStore, { get });
}

describe("pictures of a gzipped archive", () => {
  it("are read after a read before them failed", async () => {
    const { store, entries } = await listed();
    let asked = 0;
    const faulty = withGet(store, (key, options) => {
      asked += 1;
      return asked === 1
        ? Promise.reject(new TrommelError("unavailable", "the server is busy"))
        : store.get(key, options);
    });
    const [first, ...others] = await readAll(faulty, entries);
    assert.equal(first instanceof TrommelError && first.code, "unavailable");
    assert.deepEqual(others, expected.slice(1));
  });

  it("are changed where the archive was replaced", async () => {
    const { path, store, entries } = await listed();
    await writeFile(path, await readFile(path));
    await utimes(path, 1, 1);
    for (const found of await readAll(store, entries))
      assert.equal(found instanceof TrommelError && found.code, "changed");
  });

  it("are not found where the archive is gone", async () => {
    const { path, store, entries } = await listed();
    await rm(path);
    for (const found of await readAll(store, entries))
      assert.equal(found instanceof TrommelError && found.code, "not-found");
  });

  it("are those of a damaged archive where its bytes are no gzip", async () => {
    const { store, entries } = await listed();
    const damaged = withGet(store, async (key, options) => (await store.get(key, options)).fill(7));
    for (const found of await readAll(damaged, entries))
      assert.equal(found instanceof TrommelError && typeof found.context["archive"], "string");
  });
});
