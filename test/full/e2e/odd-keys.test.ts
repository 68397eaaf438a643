import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFile, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { bundleFiles, bundleManifest, ledger, openStore } from "@trommel/common";
import { scoreRow } from "#common/artefacts/results/bundle";
import { errorLine } from "#common/artefacts/shards/ledger";
import sharp from "sharp";
import { trommelJson } from "../../support/process/cli.js";
import { parseCsv } from "../../support/files/csv.js";
import { drawTexture, writeFiles, type Pictures } from "../../support/images/dataset.js";
import { startS3Server, type S3Server } from "../../support/servers/s3-server.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../support/models/tiny-backbone.js";
import { withVariables } from "../../support/process/variables.js";

/** Class folders whose names mean something to URLs, shells, XML, HTML, CSV or Unicode's normal forms. */
const folders = ["50% +1 #a?b=c&d", "caf\u00e9 é", "cafe\u0301 é", '<b>"it\'s"&amp;; $(ls)'];
/** The classes that they are: two names that differ only by their normal form are one. */
const labels = [...new Set(folders.map((name) => name.normalize("NFC")))];
/** Names of files, likewise; what they hold is told by no ending. */
const names = [
  "NFC \u00e5.png",
  "NFD a\u030a.png",
  "space  two.png",
  " lead and trail ",
  "a+b.png",
  "100%.png",
  "%2e%2E%2f.png",
  "a#b.png",
  "a?b=c&d.png",
  `it's "quoted".png`,
  "line\nbreak\ttab\r.png",
  "comma, semicolon; pipe|.png",
  "😀 \u{1f1e8}\u{1f1ed}.png",
  "ﬁ ligature.png",
  "עברית.png",
  "日本語.png",
  "$(touch x) `x` ${x}.png",
  "-rf --help",
  "NUL.png",
  "a..png",
  "no-extension",
  "UPPER.JPG",
  "a png.jpg",
  "a jpeg.png",
  "a picture.txt",
  "=1+1.png",
] as const;
const badName = "bad +%20#\n😀.png";

const folder = await temporaryFolder("odd-keys");
const pictures: Pictures = new Map();
let store = "";
let s3: S3Server;

before(async () => {
  for (const [f, inFolder] of folders.entries()) {
    for (const [n, name] of names.entries()) {
      const png = await drawTexture(labels.indexOf(inFolder.normalize("NFC")), labels.length, 100 * f + n);
      const isJpeg = name === "UPPER.JPG" || name === "a jpeg.png";
      pictures.set(`${inFolder}/${name}`, isJpeg ? await sharp(png).jpeg({ quality: 95 }).toBuffer() : png);
    }
    pictures.set(`${inFolder}/${badName}`, Buffer.from("no picture"));
  }
  await writeFiles(join(folder, "pictures"), pictures);
  store = await storeWithTinyBackbone(folder);
  s3 = await startS3Server();
  s3.createBucket("odd");
  const restore = withVariables(s3.env);
  const bucket = openStore("s3://odd/a prefix+é/v1");
  for (const [key, bytes] of pictures) await bucket.put(key, bytes);
  bucket.close();
  restore();
});

after(() => s3.stop());

const inByteOrder = (keys: Iterable<string>): string[] =>
  [...keys].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
const readable = (): string[] => inByteOrder(pictures.keys()).filter((key) => !key.endsWith(`/${badName}`));

async function linesOf(output: string, pattern: RegExp): Promise<string[]> {
  const files = (await readdir(output)).filter((name) => pattern.test(name)).sort();
  const texts = await Promise.all(files.map((name) => readFile(join(output, name), "utf8")));
  return texts.flatMap((text) => text.split("\n").filter((line) => line !== ""));
}

async function checkOutput(output: string): Promise<void> {
  const rows = (await linesOf(output, /^part-\d+\.jsonl$/)).map((line) => scoreRow.parse(JSON.parse(line)));
  assert.deepEqual(
    rows.map(({ key }) => key),
    readable(),
  );
  // The classes differ in hue, so a row that had another picture's score would show.
  const right = rows.filter(({ key, label }) => key.normalize("NFC").startsWith(`${label}/`)).length;
  assert.ok(right > 0.9 * rows.length, `${right} of ${rows.length} have their own folder's label`);
  const csv = (await readdir(output)).filter((name) => /^part-\d+\.csv$/.test(name)).sort();
  const keys: string[] = [];
  for (const name of csv) {
    const [header, ...records] = parseCsv(await readFile(join(output, name), "utf8"));
    const column = header?.indexOf("key") ?? -1;
    keys.push(...records.map((record) => record[column] ?? ""));
  }
  assert.deepEqual(keys, readable());
  const errors = (await linesOf(output, /^errors\.jsonl$/)).map((line) => errorLine.parse(JSON.parse(line)));
  assert.deepEqual(
    errors.map(({ key, reason, tries }) => ({ key, reason, tries })),
    inByteOrder(folders).map((inFolder) => ({
      key: `${inFolder}/${badName}`,
      reason: "not-an-image",
      tries: 1,
    })),
  );
  const counted = ledger.parse(JSON.parse(await readFile(join(output, "ledger.json"), "utf8")));
  assert.deepEqual(
    [counted.listed, counted.ok, counted.failed],
    [pictures.size, rows.length, folders.length],
  );
}

describe("keys that mean something to somebody", () => {
  const score = async (source: string, output: string): Promise<void> => {
    await trommelJson(
      [
        ...["score", source, "--model", "odd", "--output", output, "--store", store],
        ...["--format", "csv", "--shard-size", "40", "--workers", "1"],
      ],
      { env: s3.env },
    );
  };

  it("train from a bucket, as labels and as names", async () => {
    await trommelJson(
      [
        ...["train", "s3://odd/a prefix+é/v1", "--store", store, "--run", "odd", "--workers", "1"],
        ...[
          "--backbone",
          tinyBackbone.name,
          "--views",
          "1",
          "--head",
          "se",
          "--epochs",
          "60",
          "--learning-rate",
          "0.02",
        ],
        ...["--step", "8", "--shard-size", "40"],
      ],
      { env: s3.env },
    );
    const manifest = join(store, "runs/odd/bundle", bundleFiles.manifest);
    const bundle = bundleManifest.parse(JSON.parse(await readFile(manifest, "utf8")));
    assert.deepEqual(bundle.labels, inByteOrder(labels));
  });

  it("are scored from a bucket and found again", async () => {
    await score("s3://odd/a prefix+é/v1", join(folder, "from-bucket"));
    await checkOutput(join(folder, "from-bucket"));
  });

  it("are counted where nobody can read what they name, and no link is followed out", async () => {
    const source = join(folder, "unusable");
    const picture = pictures.get(`${labels[0]}/${names[0]}`) ?? Buffer.alloc(0);
    await writeFiles(source, new Map(["a.png", "m.png", "z.png"].map((name) => [name, picture])));
    await writeFiles(source, new Map([["back\\slash.png", picture]]));
    await writeFile(Buffer.concat([Buffer.from(`${source}/bad`), Buffer.of(0xff)]), picture);
    await writeFiles(join(folder, "outside"), new Map([["secret.png", picture]]));
    await symlink(join(folder, "outside"), join(source, "b-link"));
    await symlink("itself", join(source, "itself"));
    await symlink(source, join(source, "n-loop"));
    execFileSync("bash", ["-c", 'mkfifo "$0"', join(source, "o-pipe")]);
    const expected = [
      ...["b-link: outside-the-folder", "back\\\\slash.png: illegal-key", "bad\\xff: illegal-key"],
      ...["itself: circular-link", "n-loop: circular-link", "o-pipe: not-a-file"],
    ];
    assert.deepEqual(await skippedOf(source, "scores-unusable"), [3, expected]);

    const keys = ["a//b.png", "/abs.png", "back\\slash.png", "../../escape.png", "./dot.png", "nul\0.png"];
    for (const key of [...keys, "z.png"]) s3.putObject("odd", `u/${key}`, picture);
    const illegal = inByteOrder(keys).map((key) => `${key}: illegal-key`);
    assert.deepEqual(await skippedOf("s3://odd/u", "scores-illegal"), [1, illegal]);
  });

  /** Scores in shards of one and says how many files have scores, and which are left out. */
  async function skippedOf(source: string, name: string): Promise<[number, string[]]> {
    const output = join(folder, name);
    const common = ["--store", store];
    const { id } = (await trommelJson(
      [
        ...["score", source, "--model", "odd", "--output", output, "--shard-size", "1", "--workers", "1"],
        ...common,
      ],
      { env: s3.env },
    )) as { id: string };
    const counted = ledger.parse(JSON.parse(await readFile(join(output, "ledger.json"), "utf8")));
    assert.equal(counted.listed, counted.ok + counted.skipped);
    const { skippedKeys } = (await trommelJson(["errors", id, ...common])) as {
      skippedKeys: { key: string; reason: string }[];
    };
    assert.equal(counted.skipped, skippedKeys.length);
    return [counted.ok, skippedKeys.map(({ key, reason }) => `${key}: ${reason}`)];
  }

  it("are scored from a folder, byte for byte as from the bucket", async () => {
    await score(join(folder, "pictures"), join(folder, "from-folder"));
    await checkOutput(join(folder, "from-folder"));
    for (const pattern of [/^part-\d+\.jsonl$/, /^part-\d+\.csv$/, /^errors\.jsonl$/]) {
      assert.deepEqual(
        await linesOf(join(folder, "from-folder"), pattern),
        await linesOf(join(folder, "from-bucket"), pattern),
      );
    }
  });
});
