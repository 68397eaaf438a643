import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { openStore } from "@trommel/common";
import { Ajv2020 } from "ajv/dist/2020.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { drawTexture } from "../../../support/images/dataset.js";
import { writeScores } from "../../../support/runs/written-scores.js";
import { openDashboard, type Answer } from "../../../support/servers/dashboard.js";

/** What the API says of a store with two finished scorings. */

const folder = await temporaryFolder("dashboard-reading");
const source = join(folder, "photos");
const failed = Array.from({ length: 7 }, (_, i) => `bad-${i}.png`);
const rows = Array.from({ length: 20 }, (_, i) => ({ key: `ok-${i}.png`, probabilities: [0.25, 0.75] }));
const dashboard = await openDashboard({ store: join(folder, "store") });
const get = (path: string): Promise<Answer> => dashboard.get(`/api/v1${path}`);

before(async () => {
  await mkdir(source);
  const store = openStore(join(folder, "store"));
  const common = { classes: ["cat", "dog"], source: openStore(source).url };
  await writeScores({ ...common, location: join(folder, "a"), name: "a", rows, failed }, store);
  await writeScores({ ...common, location: join(folder, "b"), name: "b", rows }, store);
  // Half of a picture: it failed, and a part of it can be seen.
  const whole = await drawTexture(0, 2, 1);
  await writeFile(join(source, "bad-0.png"), whole.subarray(0, whole.length / 2));
  await writeFile(join(source, "bad-1.png"), "no picture at all");
  await writeFile(join(source, "ok-0.png"), whole);
});

const idsOf = ({ body }: Answer): unknown => (body["runs"] as { id: string }[]).map(({ id }) => id);

describe("what the API reads", () => {
  it("lists runs in pages and by filters", async () => {
    assert.deepEqual(idsOf(await get("/runs")), ["score-a", "score-b"]);
    const first = await get("/runs?limit=1");
    assert.deepEqual([idsOf(first), first.body["next"], first.body["total"]], [["score-a"], "score-a", 2]);
    const second = await get("/runs?limit=1&after=score-a");
    assert.deepEqual([idsOf(second), second.body["next"]], [["score-b"], null]);
    assert.deepEqual(idsOf(await get("/runs?kind=run")), []);
    assert.deepEqual(idsOf(await get("/runs?kind=scoring&phase=complete")), ["score-a", "score-b"]);
  });

  it("shows one with its ledger", async () => {
    const { body } = await get("/runs/score-a");
    assert.deepEqual([body["phase"], body["images"], body["failedImages"]], ["complete", 27, 7]);
    const { ledger } = body["result"] as { readonly ledger: { readonly ok: number } };
    assert.equal(ledger.ok, 20);
  });

  it("gives failed images by reason, a page at a time", async () => {
    const keysOf = ({ body }: Answer): unknown => (body["images"] as { key: string }[]).map(({ key }) => key);
    const first = await get("/runs/score-a/failed?limit=3");
    assert.deepEqual([keysOf(first), first.body["next"]], [failed.slice(0, 3), 3]);
    const last = await get("/runs/score-a/failed?limit=3&after=6");
    assert.deepEqual([keysOf(last), last.body["next"]], [failed.slice(6), null]);
    assert.deepEqual(keysOf(await get("/runs/score-a/failed?reason=archived")), []);
    assert.equal((await get("/runs/score-a/failed?reason=tired")).status, 400);
  });

  it("streams the scores of all parts, and names the files of a format", async () => {
    const { text, headers } = await get("/runs/score-a/scores");
    assert.equal(headers.get("content-type"), "application/jsonl");
    const keys = text
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { readonly key: string }).key);
    assert.deepEqual(
      keys,
      rows.map(({ key }) => key),
    );
    const { files } = (await get("/runs/score-a/score-files")).body as { files: { path: string }[] };
    const parts = await Promise.all(files.map(({ path }) => dashboard.get(path)));
    assert.equal(parts.map((part) => part.text).join(""), text);
    assert.match((await get("/runs/score-a/scores?format=csv")).text, /they are written as jsonl/);
    assert.equal((await get("/runs/score-a/score-file?place=9")).status, 404);
  });

  it("makes a picture of what failed and can be seen in part, and of no image that did not fail", async () => {
    const picture = await get("/runs/score-a/thumbnail?key=bad-0.png");
    assert.deepEqual([picture.status, picture.headers.get("content-type")], [200, "image/webp"]);
    assert.equal((await get("/runs/score-a/thumbnail?key=bad-1.png")).status, 422);
    assert.equal((await get("/runs/score-a/thumbnail?key=bad-2.png")).status, 404);
    for (const key of ["ok-0.png", "../store/x", "file:///etc/passwd"]) {
      const { status, text } = await get(`/runs/score-a/thumbnail?key=${encodeURIComponent(key)}`);
      assert.equal(status, 404);
      assert.match(text, /names no failed or mistaken image/);
    }
  });

  it("counts what the store holds", async () => {
    const { body } = await get("/store");
    assert.equal(body["state"], "counted");
    const { folders } = body as { readonly folders: { folder: string; objects: number }[] };
    assert.deepEqual(
      folders.map(({ folder: name, objects }) => [name, objects]),
      [["scorings", 2]],
    );
  });

  it("refuses the report and the figures of what is no training", async () => {
    assert.equal((await get("/runs/score-a/report")).status, 404);
    assert.equal((await get("/runs/score-a/metrics")).status, 400);
    assert.equal((await get("/runs/score-a/file?name=../../x")).status, 400);
  });

  it("describes itself: what it answers fits the schemas of its OpenAPI document", async () => {
    const { body } = await get("/openapi.json");
    assert.equal(body["openapi"], "3.1.0");
    interface Operation {
      readonly responses: Record<string, { content: Record<string, { schema?: object }> }>;
    }
    const paths = body["paths"] as Record<string, Record<string, Operation>>;
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    const { Problem } = (body["components"] as { schemas: Record<string, object> }).schemas;
    const asked = {
      ...{ "/runs": "/runs", "/runs/{id}": "/runs/score-a", "/runs/{id}/failed": "/runs/score-a/failed" },
      ...{ "/cluster": "/cluster", "/store": "/store", "/recipes": "/recipes", "/session": "/session" },
      "/runs/{id}/score-files": "/runs/score-a/score-files",
    };
    for (const [path, at] of Object.entries(asked)) {
      const schema = paths[`/api/v1${path}`]?.["get"]?.responses["200"]?.content["application/json"]?.schema;
      assert.ok(schema !== undefined, path);
      const validate = ajv.compile(schema);
      assert.ok(validate((await get(at)).body), `${path}: ${ajv.errorsText(validate.errors)}`);
    }
    const isProblem = ajv.compile(Problem ?? {});
    assert.ok(isProblem((await get("/runs/missing")).body), ajv.errorsText(isProblem.errors));
    assert.ok("post" in (paths["/api/v1/trainings"] ?? {}));
  });
});
