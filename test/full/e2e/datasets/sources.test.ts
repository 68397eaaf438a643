import assert from "node:assert/strict";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { openTrommel, type RecipeInput, type ScoreOptions, type ScoreRow } from "#trommel/index";
import { drawDataset, writeFiles } from "../../../support/images/dataset.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { tinyBackbone, writeTinyBackbone } from "../../../support/models/tiny-backbone.js";

const labels = ["glass", "metal", "paper"];
const folder = await temporaryFolder("sources");
const pathOf = (name: string): string => join(folder, name);
const recipe: RecipeInput = {
  backbones: [tinyBackbone.name],
  views: { count: 1 },
  shardSize: 8,
  head: { type: "se" },
  svd: { step: 8 },
  training: { epochs: 3 },
};
let keys: string[];
let model: string;
/** An order that is not that of the keys. */
const shuffled = (): string[] => keys.toSorted((a, b) => a.slice(-7).localeCompare(b.slice(-7)));

before(async () => {
  const pictures = await drawDataset(labels, { to: 8 });
  keys = [...pictures.keys()].sort();
  await writeFiles(pathOf("photos"), pictures);
  model = await writeTinyBackbone(pathOf("tiny"));
});

async function rowsOf(output: string): Promise<ScoreRow[]> {
  const parts = (await readdir(pathOf(output))).filter((name) => /^part-\d+\.jsonl$/.test(name)).sort();
  const texts = await Promise.all(parts.map((name) => readFile(join(pathOf(output), name), "utf8")));
  return texts.flatMap((text) => text.trim().split("\n")).map((line) => JSON.parse(line) as ScoreRow);
}

const byKey = (rows: readonly ScoreRow[]): ScoreRow[] => rows.toSorted((a, b) => (a.key < b.key ? -1 : 1));

describe("a manifest", () => {
  it("trains and scores as the prefix does, in its own order, and a listed image that does not exist is a failed one", async () => {
    const rows = shuffled().map((key, i) => `${key},${key.split("/")[0]},${i}`);
    await writeFile(pathOf("list.csv"), ["key,kind,number", ...rows, ""].join("\n"));
    const lines = [...shuffled(), "glass/nowhere.png"].map((key, i) => JSON.stringify({ key, number: i }));
    await writeFile(pathOf("list.jsonl"), lines.join("\n"));
    const whole = shuffled().map((key) =>
      JSON.stringify({ key: pathToFileURL(pathOf(`photos/${key}`)).href }),
    );
    await writeFile(pathOf("whole.jsonl"), whole.join("\n"));
    await using trommel = await openTrommel({ store: pathOf("store"), workers: 1 });
    await trommel.backbones.import(model, { name: tinyBackbone.name });
    const manifest = { location: pathOf("list.csv"), labelColumn: "kind" };
    const run = await trommel.train(pathOf("photos"), recipe, { id: "listed", manifest });
    const { ledger } = await run.result();
    assert.deepEqual([ledger.listed, ledger.ok], [keys.length, keys.length]);
    const score = async (prefix: string | undefined, output: string, more: Partial<ScoreOptions> = {}) => {
      const options = { model: "listed", output: pathOf(output), shardSize: 5, ...more };
      return (await trommel.score(prefix, options)).result();
    };
    await score(pathOf("photos"), "by-prefix");
    const listed = await score(pathOf("photos"), "by-list", { manifest: { location: pathOf("list.jsonl") } });
    assert.deepEqual(listed.ledger.failedByReason, { "not-found": 1 });
    await score(undefined, "by-location", { manifest: { location: pathOf("whole.jsonl") } });
    const expected = await rowsOf("by-prefix");
    const found = await rowsOf("by-list");
    assert.deepEqual(
      found.map(({ key }) => key),
      shuffled(),
    );
    // What the list has besides is carried into the scores.
    assert.deepEqual(
      found.map((row) => (row as ScoreRow & { number: number }).number),
      shuffled().map((_, i) => i),
    );
    const plain = found.map((row) => ({ ...row, number: undefined }));
    assert.deepEqual(JSON.parse(JSON.stringify(byKey(plain))), byKey(expected));
    const root = `${pathToFileURL(pathOf("photos")).href}/`;
    // Two images of one id with others between them, which a prefix lists next to each other.
    await copyFile(pathOf("photos/glass/000.png"), pathOf("photos/glass/000.webp"));
    const twins = ["glass/000.webp", "metal/000.png", "glass/001.png", "glass/000.png"];
    await writeFile(pathOf("twins.csv"), ["key", ...twins, ""].join("\n"));
    const { submission } = await score(pathOf("photos"), "by-id", {
      manifest: { location: pathOf("twins.csv") },
      formats: ["kaggle"],
      shardSize: 2,
    });
    await rm(pathOf("photos/glass/000.webp"));
    assert.ok(submission?.merged === false && submission.reason === "repeated-ids");
    assert.match(submission.detail, /1 picture has .*\(glass\/000\.webp and glass\/000\.png\)/);
    const located = (await rowsOf("by-location")).map((row) => ({ ...row, key: row.key.replace(root, "") }));
    assert.deepEqual(byKey(located), byKey(expected));
  });
});

/** Every mistake of a report has its picture. */
async function withPictures(path: string): Promise<void> {
  const page = await readFile(path, "utf8");
  const shown = page.split("<figure>").length - 1;
  assert.ok(shown > 0, "such a model makes mistakes");
  assert.equal(page.split('<img src="data:image/webp;base64,').length - 1, shown);
}

describe("archives", () => {
  it("give the scores of the same pictures in a folder, train by the labels beside them, and list their damage", async () => {
    const golden = fileURLToPath(new URL("../../../../golden/", import.meta.url));
    const { pictures } = JSON.parse(await readFile(join(golden, "archives.json"), "utf8")) as {
      readonly pictures: Readonly<Record<string, { readonly base64: string }>>;
    };
    const files = Object.entries(pictures).map(
      ([name, { base64 }]) => [name, Buffer.from(base64, "base64")] as const,
    );
    await writeFiles(pathOf("unpacked"), new Map(files));
    await using trommel = await openTrommel({ store: pathOf("store"), workers: 1 });
    const score = async (source: string, output: string, more: Partial<ScoreOptions> = {}) => {
      const options = { model: "listed", output: pathOf(output), shardSize: 5, ...more };
      const { ledger } = await (await trommel.score(source, options)).result();
      return { ledger, rows: await rowsOf(output) };
    };
    const expected = byKey((await score(pathOf("unpacked"), "of-folder")).rows);
    for (const archive of ["pax.tar", "mixed.zip", "packed.tar.gz", "struct-snappy.parquet"]) {
      const { rows } = await score(join(golden, "archives", archive), `of-${archive}`);
      const inside = rows.map((row) => ({ ...row, key: row.key.slice(archive.length + 1) }));
      assert.deepEqual(byKey(inside), expected, archive);
    }
    const broken = pathOf("broken");
    await mkdir(broken);
    await writeFile(
      join(broken, "a.tar"),
      (await readFile(join(golden, "archives/ustar.tar"))).subarray(0, 2500),
    );
    await writeFile(join(broken, "readme.txt"), "no archive");
    const { ledger } = await score(broken, "of-broken", { archives: {} });
    assert.deepEqual(
      [ledger.listed, ledger.ok, ledger.failedByReason, ledger.skippedByReason],
      [4, 2, { "damaged-archive": 1 }, { "not-an-archive": 1 }],
    );
    await assert.rejects(score(join(golden, "archives.py"), "none", { archives: {} }), {
      code: "invalid-argument",
    });
    const run = await trommel.train(join(golden, "archives", "samples.tar"), recipe, { id: "samples" });
    const { ledger: trained } = await run.result();
    assert.deepEqual([trained.ok, trained.skippedByReason], [12, { sidecar: 12 }]);
    // The worst mistakes are shown with their pictures, though they lie within archives.
    const rows = Array.from(
      { length: 12 },
      (_, i) => `samples.tar/${String(i).padStart(3, "0")}.png,${i % 2}`,
    );
    await writeFile(pathOf("drawn.csv"), ["id,label", ...rows, ""].join("\n"));
    const drawn: RecipeInput = {
      ...{ backbones: [tinyBackbone.name], views: { count: 1 }, shardSize: 8 },
      head: { type: "auto", folds: 2, repeats: 1 },
      labels: { source: { type: "csv", file: pathOf("drawn.csv") } },
    };
    const poor = await trommel.train(join(golden, "archives", "samples.tar"), drawn, { id: "drawn" });
    await withPictures(fileURLToPath((await poor.result()).report));
    const zip = join(golden, "archives", "mixed.zip");
    const byFolder = await (await trommel.evaluate(zip, { model: "listed" })).result();
    assert.deepEqual([byFolder.figures.images, byFolder.leftOut.unlabelled], [12, 0]);
    const names = Object.keys(pictures).map((name, i) => `mixed.zip/${name},${labels[i % 3]}`);
    await writeFile(pathOf("wrong.csv"), ["id,label", ...names, ""].join("\n"));
    const options = { model: "listed", labels: { file: pathOf("wrong.csv") } };
    const byTable = await (await trommel.evaluate(zip, options)).result();
    assert.equal(byTable.figures.images, 12);
    await withPictures(fileURLToPath(byTable.report));
  });
});
