import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { openStore, runKeys } from "@trommel/common";
import { parseShard, type Choice } from "@trommel/common/artefacts";
import { decodeSafetensors } from "@trommel/common/codec";
import { Ajv2020 } from "ajv/dist/2020.js";
import sharp from "sharp";
import { openTrommel, type RecipeInput } from "#trommel/index";
import { tarOf, zipOf } from "../../bench/material/archive-files.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { drawDataset } from "../../support/images/dataset.js";
import { tinyBackbone, writeTinyBackbone } from "../../support/models/tiny-backbone.js";
import { openDashboard } from "../../support/servers/dashboard.js";

/** The images behind a confusion matrix, whose cells are counted again here from what each fold predicted. The images lie in a tar and a zip. */

const labels = ["glass", "metal", "paper"];
const folder = await temporaryFolder("predictions");
const pathOf = (name: string): string => join(folder, name);
const dashboard = await openDashboard({ store: pathOf("store") });
const store = openStore(pathOf("store"));
const keys = runKeys("drawn");
const pictures = new Map<string, Buffer>();
const labelOf = new Map<string, string>();
let choice: Choice;

interface Row {
  readonly key: string;
  readonly shard: number;
  readonly label: string;
  readonly predicted: string;
  readonly probability: number;
}

interface Page {
  readonly total: number;
  readonly images: readonly Row[];
  readonly next: number | null;
}

async function pageOf(label: string, predicted: string, more: Record<string, string> = {}): Promise<Page> {
  const query = new URLSearchParams({ true: label, predicted, ...more });
  const { status, body, text } = await dashboard.get(`/api/v1/runs/drawn/predictions?${query.toString()}`);
  assert.equal(status, 200, text);
  return body as unknown as Page;
}

async function readJson<T>(key: string): Promise<T> {
  return JSON.parse(Buffer.from(await store.get(key)).toString("utf8")) as T;
}

/** The predicted class of every image by its key: the largest of the logits that the chosen candidate's folds wrote, summed over divisions. */
async function predictedByFolds(): Promise<Map<string, string>> {
  const at = choice.candidates.findIndex(({ chosen }) => chosen);
  const { name = "" } = choice.candidates[at] ?? {};
  const variant = at - choice.candidates.findIndex((one) => one.name === name);
  const sums = new Map<string, number[]>();
  const shards = new Map<number, readonly { readonly key: string }[]>();
  for await (const { key } of store.list(`${keys.root}/folds/`)) {
    if (key.endsWith(".json")) continue;
    const { candidate, share } = await readJson<{ candidate: string; share: number }>(`${key}.json`);
    if (candidate !== name || share !== 1) continue;
    const { tensors } = decodeSafetensors(await store.get(key));
    const valuesOf = (of: string): number[] => [...((tensors[`held_out/${of}`]?.data ?? []) as Int32Array)];
    const position = valuesOf("position");
    const logits = valuesOf(`logits/${variant}`);
    for (const [row, shard] of valuesOf("shard").entries()) {
      if (!shards.has(shard))
        shards.set(shard, parseShard(await store.get(keys.shard(shard)), keys.shard(shard)).entries);
      const image = shards.get(shard)?.[position[row] ?? -1]?.key ?? "";
      const sum = sums.get(image) ?? labels.map(() => 0);
      sums.set(
        image,
        sum.map((value, label) => value + (logits[row * labels.length + label] ?? 0)),
      );
    }
  }
  const largest = (values: readonly number[]): number => values.indexOf(Math.max(...values));
  return new Map([...sums].map(([key, sum]) => [key, labels[largest(sum)] ?? ""]));
}

before(async () => {
  const drawn = [...(await drawDataset(labels, { to: 16 }))];
  await mkdir(pathOf("photos"));
  // One image in four is said to be of the next class, in either archive.
  const files = drawn.map(([key, bytes], i) => {
    const archive = i % 2 === 0 ? "a.tar" : "b.zip";
    const at = labels.indexOf(key.split("/")[0] ?? "");
    pictures.set(`${archive}/${key}`, bytes);
    labelOf.set(`${archive}/${key}`, labels[(at + (i % 8 < 2 ? 1 : 0)) % labels.length] ?? "");
    return { archive, name: key, bytes };
  });
  const within = (archive: string) => files.filter((file) => file.archive === archive);
  const torn = { name: "glass/torn.png", bytes: (drawn[0]?.[1] ?? Buffer.alloc(0)).subarray(0, 200) };
  const notes = { name: "notes.txt", bytes: Buffer.from("these are no pixels") };
  await writeFile(pathOf("photos/a.tar"), tarOf([...within("a.tar"), torn, notes]));
  await writeFile(pathOf("photos/b.zip"), zipOf([...within("b.zip"), torn, notes]));
  for (const archive of ["a.tar", "b.zip"]) labelOf.set(`${archive}/glass/torn.png`, "glass");
  const rows = [...labelOf].map(([key, label]) => `${key},${label}`);
  await writeFile(pathOf("labels.csv"), ["id,label", ...rows, ""].join("\n"));
  await using trommel = await openTrommel({ store: pathOf("store"), workers: 1 });
  await trommel.backbones.import(await writeTinyBackbone(pathOf("tiny")), { name: tinyBackbone.name });
  const recipe: RecipeInput = {
    ...{ backbones: [tinyBackbone.name], views: { count: 1 }, shardSize: 10 },
    head: { type: "auto", folds: 3, repeats: 2 },
    labels: { source: { type: "csv", file: pathOf("labels.csv") } },
  };
  const run = await trommel.train(pathOf("photos"), recipe, { id: "drawn", archives: {} });
  await run.result();
  choice = await readJson<Choice>(keys.choice);
});

describe("the predictions of a run", { timeout: 300_000 }, () => {
  it("are as many in each cell as the confusion matrix counts, each image in one cell", async () => {
    const found = [];
    const seen = new Set<string>();
    for (const label of labels) {
      const counts = [];
      for (const predicted of labels) {
        const { total, images } = await pageOf(label, predicted, { limit: "200" });
        assert.equal(images.length, total);
        for (const { key } of images) seen.add(key);
        counts.push(total);
      }
      found.push(counts);
    }
    assert.deepEqual(found, choice.outOfFold.confusion);
    assert.equal(seen.size, pictures.size);
  });

  it("are what the folds' logits come to, under the labels of the table", async () => {
    const expected = await predictedByFolds();
    assert.equal(expected.size, pictures.size);
    for (const label of labels)
      for (const predicted of labels) {
        const { images } = await pageOf(label, predicted, { limit: "200" });
        const cell = [...expected].filter(([key, of]) => of === predicted && labelOf.get(key) === label);
        assert.deepEqual(images.map(({ key }) => key).sort(), cell.map(([key]) => key).sort());
      }
  });

  it("have the worst mistakes first, and come in the same order page by page", async () => {
    let mistakes = 0;
    for (const label of labels)
      for (const predicted of labels) {
        const { images, total } = await pageOf(label, predicted, { limit: "200" });
        const sure = images.map(({ probability }) => probability);
        assert.deepEqual(
          sure,
          sure.toSorted((a, b) => b - a),
        );
        const paged: Row[] = [];
        for (let after: number | null = 0; after !== null && total > 0;) {
          const page = await pageOf(label, predicted, { limit: "2", after: String(after) });
          paged.push(...page.images);
          after = page.next;
        }
        assert.deepEqual(paged, images);
        const worst = choice.mistakes.filter((one) => one.label === label && one.predicted === predicted);
        mistakes += worst.length;
        for (const [place, { key, probability }] of worst.entries()) {
          assert.equal(images[place]?.key, key);
          assert.ok(Math.abs((images[place]?.probability ?? 0) - probability) < 1e-6);
        }
      }
    assert.ok(mistakes > 0, "such a model makes mistakes");
    assert.deepEqual((await pageOf("glass", "glass", { after: "1000" })).images, []);
  });

  it("are shown with their pictures, though these lie within archives", async () => {
    const shownOf = async (query: Record<string, string>): Promise<Buffer> => {
      const path = `/api/v1/runs/drawn/thumbnail?${new URLSearchParams(query).toString()}`;
      const response = await fetch(`${dashboard.url}${path}`);
      assert.equal(response.status, 200, path);
      return Buffer.from(await response.arrayBuffer());
    };
    const meanOf = async (bytes: Buffer): Promise<number[]> =>
      (await sharp(bytes).removeAlpha().stats()).channels.map(({ mean }) => mean);
    for (const archive of ["a.tar", "b.zip"]) {
      const mistake = choice.mistakes.find(({ key }) => key.startsWith(archive));
      assert.ok(mistake !== undefined, `${archive} has a mistaken image`);
      const { key, label, predicted } = mistake;
      const byKey = await shownOf({ key });
      const found = (await pageOf(label, predicted, { limit: "200" })).images.find((one) => one.key === key);
      assert.deepEqual(await shownOf({ key, shard: String(found?.shard) }), byKey);
      const expected = await meanOf(pictures.get(key) ?? Buffer.alloc(0));
      for (const [channel, mean] of (await meanOf(byKey)).entries())
        assert.ok(Math.abs(mean - (expected[channel] ?? 0)) < 6, `${key}: ${mean}, ${expected.join()}`);
      const torn = await dashboard.get(`/api/v1/runs/drawn/thumbnail?key=${archive}/glass/torn.png`);
      assert.ok([200, 422].includes(torn.status), torn.text);
      const notes = await dashboard.get(`/api/v1/runs/drawn/thumbnail?key=${archive}/notes.txt`);
      assert.equal(notes.status, 404);
    }
  });

  it("are refused by name for a label, a field and a run that do not have them", async () => {
    const refusedBy = async (path: string): Promise<readonly [number, string]> => {
      const { status, body } = await dashboard.get(`/api/v1${path}`);
      return [status, String(body["detail"])];
    };
    const [status, detail] = await refusedBy("/runs/drawn/predictions?true=glass&predicted=wood");
    assert.equal(status, 400);
    assert.match(detail, /predicted is "wood", and the labels are "glass", "metal", "paper"/);
    assert.match((await refusedBy("/runs/drawn/predictions?true=glass"))[1], /predicted: is missing/);
    assert.equal((await refusedBy("/runs/none/predictions?true=a&predicted=b"))[0], 404);
    await store.delete([`${keys.predictions}.json`]);
    const [missing, why] = await refusedBy("/runs/drawn/predictions?true=glass&predicted=glass");
    assert.equal(missing, 404);
    assert.match(why, /an earlier version trained it.*\/metrics/);
  });

  it("are described by the OpenAPI document", async () => {
    const { body } = await dashboard.get("/api/v1/openapi.json");
    const paths = body["paths"] as Record<
      string,
      { get: { responses: Record<string, { content: Record<string, { schema: object }> }> } }
    >;
    const { schema } = paths["/api/v1/runs/{id}/predictions"]?.get.responses["200"]?.content[
      "application/json"
    ] ?? { schema: {} };
    const validate = new Ajv2020({ strict: false }).compile(schema);
    const row: Row = { key: "k", shard: 0, label: "a", predicted: "b", probability: 0.5 };
    assert.ok(validate({ total: 1, images: [row], next: null }));
    assert.ok(!validate({ total: 1, images: [{ ...row, shard: "0" }], next: null }));
  });
});
