import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { openStore, scoringKeys, shardHash, type ShardEntry } from "@trommel/common";
import { jsonBytes } from "@trommel/common/codec";
import sharp from "sharp";
import { tarOf, zipOf } from "../../../bench/material/archive-files.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { writeScores } from "../../../support/runs/written-scores.js";
import { openDashboard, type Answer } from "../../../support/servers/dashboard.js";

/** Thumbnails of images within archives: the places of their bytes are computed here, from the archives themselves. */

const folder = await temporaryFolder("archived-pictures");
const source = join(folder, "photos");
const dashboard = await openDashboard({ store: join(folder, "store") });
const colours = {
  "red.png": [220, 20, 20],
  "green.png": [20, 220, 20],
  "blue.png": [20, 20, 220],
} as const;
type Name = keyof typeof colours;

function picture([r, g, b]: (typeof colours)[Name]): Promise<Buffer> {
  const create = { width: 300, height: 150, channels: 3, background: { r, g, b } } as const;
  return sharp({ create }).png().toBuffer();
}

function thumbnail(key: string, shard?: number): Promise<Answer> {
  const query = new URLSearchParams({ key, ...(shard === undefined ? {} : { shard: String(shard) }) });
  return dashboard.get(`/api/v1/runs/score-a/thumbnail?${query.toString()}`);
}

async function colourOf(key: string, shard?: number): Promise<Name | undefined> {
  const query = new URLSearchParams({ key, ...(shard === undefined ? {} : { shard: String(shard) }) });
  const response = await fetch(`${dashboard.url}/api/v1/runs/score-a/thumbnail?${query.toString()}`);
  assert.equal(response.status, 200, key);
  const bytes = Buffer.from(await response.arrayBuffer());
  const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
  assert.deepEqual([info.width, info.height], [160, 80]);
  return (Object.keys(colours) as Name[]).find((name) =>
    colours[name].every((wanted, channel) => Math.abs((data[channel] ?? 0) - wanted) < 30),
  );
}

before(async () => {
  await mkdir(source);
  const pictures = await Promise.all(
    (Object.keys(colours) as Name[]).map(async (name) => ({ name, bytes: await picture(colours[name]) })),
  );
  const files = [...pictures, { name: "notes.txt", bytes: Buffer.from("these are no pixels") }];
  const tar = tarOf(files);
  const zip = zipOf(files);
  await writeFile(join(source, "a.tar"), tar);
  await writeFile(join(source, "b.zip"), zip);
  const images = openStore(source);
  const etagOf = async (key: string): Promise<string> => (await images.head(key))?.etag ?? "";
  const tarEtag = await etagOf("a.tar");
  const zipEtag = await etagOf("b.zip");
  const entries = files.flatMap(({ name, bytes }): ShardEntry[] => {
    const inTar = tar.indexOf(bytes);
    const local = zip.indexOf(bytes) - name.length - 30;
    const packed = { zip: { method: "stored", packedBytes: bytes.length } } as const;
    return [
      {
        ...{ key: `a.tar/${name}`, sizeBytes: bytes.length, etag: tarEtag },
        at: { object: "a.tar", range: [inTar, bytes.length] },
      },
      {
        ...{ key: `b.zip/${name}`, sizeBytes: bytes.length, etag: zipEtag },
        at: { object: "b.zip", range: [local, 30 + name.length + bytes.length], form: packed },
      },
    ];
  });
  entries.push(
    {
      ...{ key: "a.tar/film.png", sizeBytes: 2 ** 33, etag: tarEtag },
      at: { object: "a.tar", range: [512, 2 ** 33] },
    },
    {
      ...{ key: "a.tar/torn.png", sizeBytes: 10, etag: tarEtag },
      at: { object: "a.tar", damaged: { offset: 512, why: "it ends early" } },
    },
  );
  entries.sort((one, other) => (one.key < other.key ? -1 : 1));
  const store = openStore(join(folder, "store"));
  const from = {
    type: "archives",
    object: null,
    imageColumn: null,
    keyColumn: null,
    labelColumn: null,
  } as const;
  const failed = ["a.tar/red.png", "b.zip/green.png", "a.tar/notes.txt", "b.zip/notes.txt", "a.tar/film.png"];
  await writeScores(
    {
      ...{ classes: ["cat", "dog"], source: images.url, from, name: "a" },
      ...{ location: join(folder, "a"), rows: [], failed },
    },
    store,
  );
  const shard = { formatVersion: 1, index: 0, hash: shardHash(entries), entries, skipped: [] };
  await store.put(scoringKeys("score-a").shard(0), jsonBytes(shard));
});

describe("thumbnails of images within archives", () => {
  it("show failed images of a tar and of a zip, found by their keys alone", async () => {
    assert.equal(await colourOf("a.tar/red.png"), "red.png");
    assert.equal(await colourOf("b.zip/green.png"), "green.png");
  });

  it("show any listed image, found by its shard", async () => {
    assert.equal(await colourOf("a.tar/blue.png", 0), "blue.png");
    assert.equal(await colourOf("b.zip/blue.png", 0), "blue.png");
  });

  it("refuse what did not fail without its shard, and what the shard does not list", async () => {
    const unnamed = await thumbnail("a.tar/blue.png");
    assert.equal(unnamed.status, 404);
    assert.match(unnamed.text, /names no failed or mistaken image of that key\. Give the shard/);
    for (const key of ["a.tar", "a.tar/other.png", "file:///etc/passwd", "../store/x"]) {
      const { status, text } = await thumbnail(key, 0);
      assert.equal(status, 404, key);
      assert.match(text, /lists no such image/);
    }
    assert.equal((await thumbnail("a.tar/blue.png", 7)).status, 404);
  });

  it("say that a member is no picture, is damaged, or is too large to be read", async () => {
    for (const key of ["a.tar/notes.txt", "b.zip/notes.txt"]) {
      const { status, text } = await thumbnail(key);
      assert.equal(status, 422, key);
      assert.match(text, /no picture can be made of it/);
    }
    const damaged = await thumbnail("a.tar/torn.png", 0);
    assert.deepEqual([damaged.status, damaged.body["code"]], [422, "unsupported"]);
    assert.match(damaged.text, /a\.tar is damaged at byte 512/);
    const large = await thumbnail("a.tar/film.png");
    assert.deepEqual([large.status, large.body["code"]], [413, "too-large"]);
  });

  it("are made for a page that asks for all of them at once", async () => {
    const keys = Object.keys(colours).flatMap((name) => [`a.tar/${name}`, `b.zip/${name}`]);
    const asked = Array.from({ length: 24 }, (_, i) => keys[i % keys.length] as string);
    const answers = await Promise.all(asked.map((key, i) => thumbnail(key, i < 12 ? 0 : undefined)));
    const statuses = answers.map(({ status }) => status);
    assert.deepEqual(new Set(statuses.slice(0, 12)), new Set([200]));
    assert.ok(!statuses.includes(503), statuses.join());
  });
});
