import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { compareUtf8, openStore, type Shard } from "@trommel/common";
import { KeyFilter, skipByName } from "#coordinator/listing/key-filter";
import { ListingTotals } from "#coordinator/listing/listing-totals";
import { streamShards, writeListing } from "#coordinator/plan/stream-shards";
import { findListing } from "@trommel/common/artefacts";
import { LedgerBuilder } from "#common/artefacts/shards/ledger-builder";
import { ledger } from "#common/artefacts/shards/ledger";
import { RetriedImages } from "#common/artefacts/shards/retried-images";
import { writeFiles } from "../../../support/images/dataset.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("stream-shards");
let made = 0;

/** A source with these keys, each with a content of its own, and an empty store. */
async function place(keys: readonly string[]) {
  made += 1;
  const source = join(folder, `${made}/source`);
  await writeFiles(source, new Map(keys.map((key) => [key, key])));
  return { source, store: join(folder, `${made}/store`) };
}

async function shardsOf(
  at: { source: string; store: string },
  options: {
    readonly shardSize?: number;
    readonly take?: number;
    readonly complete?: number;
    readonly filter?: KeyFilter;
    readonly imagesAtMost?: number;
  } = {},
): Promise<Shard[]> {
  const shards: Shard[] = [];
  for await (const shard of streamShards({
    source: openStore(at.source),
    store: openStore(at.store),
    shardKey: (index) => `shards/${index}.json`,
    shardSize: options.shardSize ?? 3,
    complete: options.complete,
    imagesAtMost: options.imagesAtMost,
    signal: new AbortController().signal,
    skip: (key) => options.filter?.skip(key) ?? skipByName(key),
  })) {
    shards.push(shard);
    if (shards.length === options.take) break;
  }
  return shards;
}

const keysOf = (shards: readonly Shard[]): string[] =>
  shards.flatMap(({ entries }) => entries.map(({ key }) => key));
const keys = ["a/1", "a/2", "a/.x", "B/1", "Ä/1", "Ä/2", "a-b/1", "😀/1", "ﬁ/1", ".git/y", "z"];
const visible = keys.filter((key) => !key.includes(".")).sort(compareUtf8);

describe("streamShards", () => {
  it("cuts the listing in UTF-8 order, skipped objects counted and not filling a shard", async () => {
    const shards = await shardsOf(await place(keys));
    assert.deepEqual(keysOf(shards), visible);
    assert.deepEqual(
      shards.map(({ entries }) => entries.length),
      [3, 3, 3],
    );
    assert.deepEqual(
      shards.map(({ index }) => index),
      [0, 1, 2],
    );
    assert.deepEqual(
      shards
        .flatMap(({ skipped }) => skipped)
        .map(({ key, reason }) => `${key} ${reason}`)
        .sort(),
      [".git/y litter", "a/.x hidden"],
    );
  });

  it("ends with the first images of the listing, where it is stopped as well", async () => {
    for (const imagesAtMost of [1, 3, 5, 6, 9, 100]) {
      const at = await place(keys);
      const first = await shardsOf(at, { imagesAtMost, take: 1 });
      assert.equal(first.length, 1);
      const shards = await shardsOf(at, { imagesAtMost });
      assert.deepEqual(keysOf(shards), visible.slice(0, imagesAtMost));
    }
  });

  it("continues after a stop anywhere to the same shards", async () => {
    const whole = await shardsOf(await place(keys), { shardSize: 2 });
    for (let take = 1; take <= whole.length; take += 1) {
      const at = await place(keys);
      await rm(at.store, { recursive: true, force: true });
      await shardsOf(at, { shardSize: 2, take });
      const resumed = await shardsOf(at, { shardSize: 2 });
      assert.deepEqual(keysOf(resumed), keysOf(whole), `stopped after ${take}`);
    }
  });

  it("leaves shards that were handed out as they are, whatever happens to the prefix", async () => {
    const at = await place(["a/1", "a/2", "a/3", "b/1", "b/2", "b/3"]);
    const [first] = await shardsOf(at, { take: 1 });
    await writeFiles(at.source, new Map([["a/0", "new, before the last key"]]));
    await rm(join(at.source, "a/2"));
    await writeFiles(at.source, new Map([["b/9", "new, behind it"]]));
    const resumed = await shardsOf(at);
    assert.deepEqual(resumed[0], first);
    assert.deepEqual(keysOf(resumed), ["a/1", "a/2", "a/3", "b/1", "b/2", "b/3", "b/9"]);
  });

  it("does not list again once the listing is complete", async () => {
    const at = await place(["a/1", "a/2", "a/3", "b/1"]);
    const shards = await shardsOf(at);
    await writeFiles(at.source, new Map([["z/9", "too late"]]));
    assert.deepEqual(await shardsOf(at, { complete: shards.length }), shards);
  });

  it("counts a tail of skipped objects, and gives nothing for nothing", async () => {
    const tail = await shardsOf(await place(["a/1", "a/2", "a/3", "b/.x"]));
    assert.equal(
      tail.reduce((sum, { skipped }) => sum + skipped.length, 0),
      1,
    );
    assert.deepEqual(keysOf(tail), ["a/1", "a/2", "a/3"]);
  });

  it("names a shard by its entries alone", async () => {
    const at = await place(["a/1", "a/2"]);
    const [shard] = await shardsOf(at);
    await writeFiles(at.source, new Map([["a/.x", "hidden"]]));
    const [withHidden] = await shardsOf({ ...at, store: `${at.store}-2` });
    assert.equal(withHidden?.skipped.length, 1);
    assert.equal(withHidden.hash, shard?.hash);
    await writeFiles(at.source, new Map([["a/2", "of another size"]]));
    const [changed] = await shardsOf({ ...at, store: `${at.store}-3` });
    assert.notEqual(changed?.hash, shard?.hash);
  });

  it("counts what patterns leave out, each key once however often the listing is taken up again", async () => {
    const filter = (): KeyFilter => new KeyFilter({ include: ["*.jpg"], exclude: ["x/**", "y/"] });
    const names = ["a/1.jpg", "a/2.jpg", "a/3.png", "b/1.jpg", "x/1.jpg", "x/2.jpg", "y/1.jpg", "z/1.png"];
    const whole = await shardsOf(await place(names), { filter: filter(), shardSize: 2 });
    assert.deepEqual(
      whole.map(({ leftOut }) => leftOut),
      [undefined, { excluded: { "x/**": 2, "y/": 1 }, notIncluded: 2, last: "z/1.png" }],
    );
    assert.deepEqual(
      whole.flatMap(({ skipped }) => skipped),
      [],
    );
    const at = await place(names);
    for (const take of [1, 2, undefined])
      await shardsOf(at, { filter: filter(), shardSize: 2, ...(take === undefined ? {} : { take }) });
    const resumed = await shardsOf(at, { filter: filter(), shardSize: 2 });
    assert.deepEqual(
      resumed.map(({ entries, leftOut }) => [entries.map(({ key }) => key), leftOut]),
      whole.map(({ entries, leftOut }) => [entries.map(({ key }) => key), leftOut]),
    );
    // A last shard of such keys alone.
    const rest = await place(["a/1.jpg", "x/1.jpg"]);
    const first = await shardsOf(rest, { filter: filter(), shardSize: 1 });
    assert.deepEqual(
      first.map(({ entries, leftOut }) => [entries.length, leftOut?.excluded]),
      [
        [1, undefined],
        [0, { "x/**": 1 }],
      ],
    );
    assert.deepEqual(await shardsOf(rest, { filter: filter(), shardSize: 1 }), first);
  });

  it("counts by patterns that are names of what every object inherits", async () => {
    const patterns = ["__proto__", "constructor", "toString"];
    const at = await place([...patterns, "z"].map((name) => `a/${name}`));
    const filter = new KeyFilter({ exclude: patterns });
    await shardsOf(at, { filter, shardSize: 9 });
    const [read] = await shardsOf(at, { filter, shardSize: 9 });
    assert.ok(read !== undefined);
    const once = patterns.map((pattern) => [pattern, 1]);
    assert.deepEqual(Object.entries(read.leftOut?.excluded ?? {}), once);
    const totals = new ListingTotals(filter);
    totals.add(read);
    const store = openStore(at.store);
    await writeListing(store, "listing.json", totals.summary());
    const listing = await findListing(store, "listing.json");
    assert.deepEqual(Object.entries(listing?.leftOut?.excluded ?? {}), once);
    assert.deepEqual([listing?.listed, listing?.skipped, listing?.withoutEffect?.exclude], [4, 3, []]);
    const builder = new LedgerBuilder(new RetriedImages());
    builder.add(read, { ok: 1, failed: [] });
    const found = ledger.parse(JSON.parse(JSON.stringify(builder.ledger({ listed: 4, shards: 1 }))));
    assert.deepEqual(Object.entries(found.excludedByPattern ?? {}), once);
  });

  it("cuts what is skipped alone into shards that fit into memory", async () => {
    const { store } = await place([]);
    const count = 120_000;
    const source = {
      ...openStore(store),
      async *list() {
        await Promise.resolve();
        for (let i = 0; i < count; i += 1)
          yield { key: `@eaDir/${String(i).padStart(6, "0")}.jpg`, sizeBytes: 1, etag: "e" };
        yield { key: "a/1.jpg", sizeBytes: 1, etag: "e" };
      },
    };
    const sizes: number[][] = [];
    for await (const { entries, skipped } of streamShards({
      source,
      store: openStore(store),
      shardKey: (index) => `shards/${index}.json`,
      shardSize: 3,
      signal: new AbortController().signal,
      skip: skipByName,
    }))
      sizes.push([entries.length, skipped.length]);
    assert.deepEqual(sizes, [
      [0, 50_000],
      [0, 50_000],
      [1, 20_000],
    ]);
  });
});
