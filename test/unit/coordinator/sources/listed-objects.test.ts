import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compareUtf8, TrommelError, type ListOptions, type ObjectInfo } from "@trommel/common";
import { ListedObjects } from "#coordinator/sources/manifest/listed-objects";

function infoOf(key: string): ObjectInfo {
  return { key, sizeBytes: key.length, etag: `etag of ${key}` };
}

/** A bucket of these keys, and what was asked of it. */
function bucketOf(keys: readonly string[]) {
  const asked = { listings: 0, objects: 0, open: 0 };
  const sorted = keys.toSorted(compareUtf8);
  async function* list(_: string, { startAfter = "" }: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    asked.listings += 1;
    asked.open += 1;
    try {
      for (const key of sorted) {
        if (compareUtf8(key, startAfter) <= 0) continue;
        asked.objects += 1;
        yield await Promise.resolve(infoOf(key));
      }
    } finally {
      asked.open -= 1;
    }
  }
  return { list, asked };
}

function keysOf(folder: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${folder}/${String(i).padStart(6, "0")}.jpg`);
}

/** All at once, as the manifest asks. */
async function ask(objects: ListedObjects, keys: readonly string[]) {
  const found = await Promise.all(keys.map((key) => objects.find(key)));
  await objects.close();
  return found;
}

describe("the objects of a bucket by its listing", () => {
  it("are all of one listing for keys in its order, and those that do not exist are none", async () => {
    const keys = [...keysOf("a", 1500), ...keysOf("é", 1500), "😀.jpg"];
    const bucket = bucketOf(keys);
    const wanted = ["a/", ...keys, "😀😀.jpg"];
    const found = await ask(new ListedObjects(bucket), wanted);
    assert.deepEqual(found, [undefined, ...keys.map(infoOf), undefined]);
    assert.deepEqual(bucket.asked, { listings: 1, objects: keys.length, open: 0 });
  });

  it("are listed from there for folders in another order", async () => {
    const bucket = bucketOf(["a", "b", "c"].flatMap((folder) => keysOf(folder, 100)));
    const wanted = ["c", "a", "b"].flatMap((folder) => keysOf(folder, 100));
    assert.deepEqual(await ask(new ListedObjects(bucket), wanted), wanted.map(infoOf));
    assert.deepEqual([bucket.asked.listings, bucket.asked.open], [2, 0]);
  });

  it("have to be looked at if keys come in any order, or are few among many", async () => {
    const keys = keysOf("a", 20_000);
    // 7 has no factor in common with 20,000, so that each key comes once; most steps go back.
    const shuffled = keys.map((_, i) => keys[(i * 7001) % keys.length] ?? "");
    const few = keys.filter((_, i) => i % 500 === 0);
    for (const wanted of [shuffled, few]) {
      const bucket = bucketOf(keys);
      const found = await ask(new ListedObjects(bucket), wanted);
      for (const [i, object] of found.entries())
        if (object !== "unknown") assert.deepEqual(object, infoOf(wanted[i] ?? ""));
      assert.ok(found.filter((object) => object !== "unknown").length < 50);
      assert.ok(bucket.asked.listings <= 4 && bucket.asked.objects <= 15_000, JSON.stringify(bucket.asked));
      assert.equal(bucket.asked.open, 0);
    }
  });

  it("have to be looked at if the listing has no etags", async () => {
    async function* list(): AsyncGenerator<ObjectInfo> {
      yield await Promise.resolve({ ...infoOf("a"), etag: "" });
      yield infoOf("b");
    }
    assert.deepEqual(await ask(new ListedObjects({ list }), ["a", "b", "c"]), [
      "unknown",
      infoOf("b"),
      undefined,
    ]);
  });

  it("have to be looked at in a bucket that does not let itself be listed", async () => {
    const error = new TrommelError("forbidden", "cannot list");
    const list = () => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) });
    assert.deepEqual(await ask(new ListedObjects({ list }), ["a", "b"]), ["unknown", "unknown"]);
  });
});
