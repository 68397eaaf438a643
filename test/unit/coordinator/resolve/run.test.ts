import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { openStore, recipe as recipeSchema, resolveLocation, sha256Hex } from "@trommel/common";
import { jsonBytes } from "@trommel/common/codec";
import { resolveExport } from "#coordinator/resolve/resolve-export";
import { resolveRun } from "#coordinator/resolve/run";
import { writeFiles } from "../../../support/images/dataset.js";
import { filesBelow } from "../../../support/files/file-hashes.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";

const folder = await temporaryFolder("run");
const dataset = join(folder, "pictures");
const table = join(folder, "labels.csv");
let store = "";

before(async () => {
  store = await storeWithTinyBackbone(folder);
  await writeFiles(dataset, new Map(["1.png", "2.png", "3.png", "4.png", "5.png"].map((key) => [key, ""])));
});

async function resolve(csv: string, given: { id?: string; output?: string; epochs?: number } = {}) {
  await writeFile(table, csv);
  return resolveRun({
    store: openStore(store),
    id: given.id,
    dataset,
    recipe: recipeSchema.parse({
      backbones: [tinyBackbone.name],
      labels: { source: { type: "csv", file: table } },
      training: { epochs: given.epochs ?? 10 },
    }),
    output: given.output,
  });
}

const first = "id,label\n1,x\n2,y\n3,x\n4,y\n5,x\n";
const relabelled = "id,label\n1,x\n2,y\n3,y\n4,y\n5,x\n";

describe("a resolved run", () => {
  it("has an id of its own that labels, recipe and export decide, and the order of rows does not", async () => {
    const idOf = async (...args: Parameters<typeof resolve>) => (await resolve(...args)).config.id;
    const id = await idOf(first);
    assert.match(id, /^pictures-[0-9a-f]{8}$/);
    assert.equal(await idOf("id,label\n5,x\n3,x\n4,y\n2,y\n1,x\n"), id);
    const others = [
      await idOf(relabelled),
      await idOf(first, { epochs: 11 }),
      await idOf(first, { output: join(folder, "out") }),
    ];
    assert.equal(new Set([id, ...others]).size, 4);
  });

  it("keeps its features when it is labelled anew", async () => {
    const [a, b] = [(await resolve(first)).config, (await resolve(relabelled)).config];
    assert.equal(a.fingerprint, b.fingerprint);
    assert.notEqual(a.labels.tableSha256, b.labels.tableSha256);
  });

  it("freezes what a list says of its test part, and is another run with another list", async () => {
    const keys = join(folder, "test.txt");
    const resolved = async (list: string, id: string) => {
      await writeFile(keys, list);
      await writeFile(table, first);
      const source = { type: "csv" as const, file: table };
      return resolveRun({
        ...{ store: openStore(store), id, dataset, output: undefined },
        recipe: recipeSchema.parse({
          ...{ backbones: [tinyBackbone.name], labels: { source } },
          split: { test: { keys } },
        }),
      });
    };
    const { config, claim } = await resolved("1\n", "listed");
    assert.deepEqual(config.recipe.split.test, { keys: resolveLocation(keys) });
    await claim();
    const body = await readFile(join(store, "runs/listed/division.json"));
    assert.equal(sha256Hex(body), config.divisionSha256);
    assert.deepEqual(JSON.parse(body.toString("utf8")), { formatVersion: 1, test: ["1.png"], groups: null });
    await assert.rejects(resolved("2\n", "listed"), { code: "conflict", message: /divisionSha256/ });
    await assert.rejects(resolved("7\n", "other"), {
      code: "bad-dataset",
      message: /test\.txt, line 1: no image has/,
    });
    await rm(join(store, "runs/listed"), { recursive: true });
  });

  it("takes the columns of its split from the table of labels, and not from the manifest", async () => {
    const manifest = join(folder, "list.csv");
    await writeFile(manifest, "key\n1.png\n2.png\n3.png\n4.png\n");
    await writeFile(table, "id,label,site\n1,x,north\n2,y,north\n3,x,\n4,y,\n");
    const resolved = (labels: object) =>
      resolveRun({
        ...{ store: openStore(store), id: undefined, dataset, output: undefined },
        manifest: { location: manifest },
        recipe: recipeSchema.parse({
          ...{ backbones: [tinyBackbone.name], labels },
          split: { groups: { column: "site" } },
        }),
      });
    const { config } = await resolved({ source: { type: "csv", file: table } });
    const groups = [
      ["1.png", "north"],
      ["2.png", "north"],
    ];
    const division = { formatVersion: 1, test: null, groups };
    assert.equal(config.divisionSha256, sha256Hex(jsonBytes(division)));
    await assert.rejects(resolved({}), { code: "bad-dataset", message: /no column "site"/ });
  });

  it("is refused with a weight for a class that does not exist", async () => {
    await writeFile(table, first);
    const source = { type: "csv" as const, file: table };
    const training = { classWeights: { x: 2, z: 3 } };
    const recipe = recipeSchema.parse({ backbones: [tinyBackbone.name], labels: { source }, training });
    await assert.rejects(
      resolveRun({ store: openStore(store), id: undefined, dataset, recipe, output: undefined }),
      { code: "invalid-argument", message: /a weight for z, but the classes are x, y/ },
    );
  });

  it("is written with its labels when it is claimed, and not before", async () => {
    const { config, claim } = await resolve(first, { id: "claimed" });
    assert.deepEqual(await filesBelow(join(store, "runs")), []);
    await claim();
    await claim();
    assert.deepEqual(await filesBelow(join(store, "runs")), ["claimed/labels.json", "claimed/run.json"]);
    const body = await readFile(join(store, "runs/claimed/labels.json"));
    assert.equal(sha256Hex(body), config.labels.tableSha256);
    assert.deepEqual(JSON.parse(body.toString("utf8")), {
      formatVersion: 1,
      labels: [
        ["1.png", "x"],
        ["2.png", "y"],
        ["3.png", "x"],
        ["4.png", "y"],
        ["5.png", "x"],
      ],
    });
    assert.deepEqual(config.labels.classes, ["x", "y"]);
    assert.deepEqual(config.recipe.labels.source, {
      type: "csv",
      file: resolveLocation(table),
      idColumn: "id",
      labelColumn: "label",
      delimiter: null,
      encoding: null,
    });
  });

  it("is refused where a class has a single image, before anything stands", async () => {
    const single = resolve("id,label\n1,x\n2,y\n3,x\n");
    await assert.rejects(single, {
      code: "bad-dataset",
      message: /"y" has one image, and at least two folds need one each/,
    });
  });

  it("is refused, and not written, where its bundle cannot be copied to", async () => {
    const file = join(folder, "a-file");
    await writeFile(file, "x");
    for (const output of [file, join(file, "below")])
      await assert.rejects(resolve(first, { id: "nowhere", output }), {
        code: "invalid-argument",
        message: /a-file is a file\. Give --output a folder that can be written/,
      });
    assert.deepEqual(await filesBelow(join(store, "runs/nowhere")), []);
  });

  it("is refused under the id of other labels", async () => {
    const refused = { code: "conflict", message: /claimed.*labels\.tableSha256/ };
    await assert.rejects(resolve(relabelled, { id: "claimed" }), refused);
    const { claim } = await resolve(relabelled, { id: "half" });
    await (await resolve(first, { id: "half" })).claim();
    await assert.rejects(claim(), { code: "conflict", message: /half/ });
  });
});

describe("where a bundle is exported to", () => {
  const at = (output: string | undefined) =>
    resolveExport({ output, dataset: "file:///data/pictures", storeUrl: "s3://bucket/store" });

  it("is an absolute location, or none", () => {
    assert.equal(at(undefined), null);
    assert.equal(at("s3://bucket/store/models/a/"), "s3://bucket/store/models/a");
    assert.equal(at("/data/pictures-model"), "file:///data/pictures-model");
  });

  it("is neither the store's root, nor in a folder of its own, nor inside the dataset", () => {
    assert.equal(at("s3://bucket/store/runs-of-mine"), "s3://bucket/store/runs-of-mine");
    for (const [output, message] of [
      ["s3://bucket/store/runs/first", /inside the folder runs\/ of the store/],
      ["s3://bucket/store/features/", /inside the folder features\/ of the store/],
      ["s3://bucket/store/", /root of the store/],
      ["/data/pictures", /inside the dataset/],
      ["/data/pictures/out", /inside the dataset/],
    ] as const)
      assert.throws(() => at(output), { code: "invalid-argument", message });
  });
});
