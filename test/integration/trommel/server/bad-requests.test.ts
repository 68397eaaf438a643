import assert from "node:assert/strict";
import { mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { openStore } from "@trommel/common";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { writeScores } from "../../../support/runs/written-scores.js";
import { openDashboard, testToken } from "../../../support/servers/dashboard.js";

const folder = await temporaryFolder("dashboard-requests");
const root = join(folder, "root");
await mkdir(join(root, "photos"), { recursive: true });
await mkdir(join(folder, "root-of-another"));
await writeFile(join(folder, "secret.csv"), "key,label\n");
await symlink(folder, join(root, "way-out"));
const dashboard = await openDashboard({ store: join(folder, "store"), roots: [root] });
const recipe = { backbones: ["tiny"] };
const bearer = { authorization: `Bearer ${testToken}` };

describe("requests that are refused", () => {
  it("says of each error what failed, in one form", async () => {
    const { status, headers, body } = await dashboard.get("/api/v1/runs/missing");
    assert.equal(status, 404);
    assert.equal(headers.get("content-type"), "application/problem+json");
    const { detail, context, ...rest } = body;
    assert.match(String(detail), /^cannot find the run missing in file:/);
    assert.deepEqual(context, { id: "missing" });
    assert.deepEqual(rest, {
      type: "urn:trommel:error:not-found",
      title: "Not found",
      status: 404,
      code: "not-found",
      retryable: false,
      instance: "/api/v1/runs/missing",
    });
    assert.equal((await dashboard.get("/api/v1/nothing")).status, 404);
  });

  it("names a filter that does not exist, and those that do", async () => {
    const { status, body } = await dashboard.get("/api/v1/runs?colour=red");
    assert.equal(status, 400);
    assert.match(String(body["detail"]), /colour is unknown; legal are kind, phase, limit, after/);
    const value = await dashboard.get("/api/v1/runs?phase=done");
    assert.match(String(value.body["detail"]), /phase: .*running/);
    const none = await dashboard.get("/api/v1/cluster?x=1");
    assert.match(String(none.body["detail"]), /x is unknown; it takes none/);
  });

  it("refuses a body that is too large, is no JSON, or has an unknown field", async () => {
    const large = await dashboard.post("/api/v1/trainings", { source: "x".repeat(1 << 20) });
    assert.deepEqual([large.status, large.body["code"]], [413, "too-large"]);
    assert.match(String(large.body["detail"]), /the 1048576 bytes that this route takes/);
    const text = await dashboard.send("POST", "/api/v1/session", {
      headers: { "content-type": "application/json" },
      body: "{",
    });
    assert.deepEqual([text.status, text.body["code"]], [400, "invalid-argument"]);
    const media = await dashboard.send("POST", "/api/v1/session", { body: "a=b" });
    assert.equal(media.status, 415);
    assert.match(String(media.body["detail"]), /Send application\/json$/);
    const headers = { ...bearer, "content-type": "application/x-www-form-urlencoded" };
    const form = { headers, body: "a=b" };
    const picture = await dashboard.send("POST", "/api/v1/runs/a/predict", form);
    assert.equal(picture.status, 415);
    assert.match(
      String(picture.body["detail"]),
      /Send the bytes as image\/jpeg or application\/octet-stream$/,
    );
    const field = await dashboard.post("/api/v1/trainings", { source: root, recipe, sorce: "x" });
    assert.match(String(field.body["detail"]), /sorce is unknown \(did you mean source\?\)/);
    const empty = await dashboard.post("/api/v1/trainings");
    assert.equal(empty.status, 400);
  });

  it("takes a name for an id alone, never for a folder next to the server", async () => {
    // Relative paths start from the working directory: the tests' own has this folder.
    const name = "packages";
    assert.ok((await readdir(process.cwd())).includes(name));
    const picture = { headers: { ...bearer, "content-type": "application/octet-stream" }, body: "picture" };
    for (const [method, path, options] of [
      ["POST", "predict", picture],
      ["GET", "scores", {}],
      ["GET", "score-files", {}],
      ["GET", "score-file?place=0", {}],
    ] as const) {
      const { status, body } = await dashboard.send(method, `/api/v1/runs/${name}/${path}`, options);
      assert.deepEqual([status, body["code"]], [404, "not-found"], path);
      assert.ok(!JSON.stringify(body).includes(process.cwd()), `${path}: ${String(body["detail"])}`);
    }
  });

  for (const [what, source] of [
    ["a folder of the server", "/etc"],
    ["a folder above a root", folder],
    ["a folder whose name begins as a root's", `${root}-of-another`],
    ["a way up", `${root}/photos/../../store`],
    ["a way up in a URL", `file://${root}/%2e%2e/store`],
    ["a link that leads out", `${root}/way-out/store`],
    ["a bucket", "s3://bucket/prefix"],
    ["an address", "https://127.0.0.1/x"],
    ["another server's file", "file://server/etc"],
  ] as const)
    it(`reads no source outside the roots: ${what}`, async () => {
      const { status, body } = await dashboard.post("/api/v1/trainings", { source, recipe });
      assert.ok(status === 403 || status === 400, JSON.stringify(body));
      assert.match(String(body["detail"]), /lies under none of this server's roots|needs an absolute path/);
    });

  it("holds manifests, outputs, models and the files of a recipe to the roots as well", async () => {
    const source = join(root, "photos");
    const secret = join(folder, "secret.csv");
    const asked: [string, Record<string, unknown>, RegExp][] = [
      ["trainings", { source, recipe, manifest: { location: secret } }, /as manifest/],
      ["trainings", { source, recipe, output: "/tmp/elsewhere" }, /as output/],
      [
        "trainings",
        { source, recipe: { ...recipe, labels: { source: { type: "csv", file: secret } } } },
        /as a file of the recipe/,
      ],
      ["trainings", { source, recipe: secret }, /the built-in ones are/],
      ["scorings", { source, model: folder, output: root }, /as model/],
      ["scorings", { source, model: "run-that-is-missing", output: root }, /there is no run run-that/],
      ["scorings", { source, model: root, output: "/tmp/elsewhere" }, /as output/],
      ["scorings", { source, model: root, output: root, rescore: "missing" }, /cannot find the scoring/],
    ];
    for (const [path, body, words] of asked) {
      const answer = await dashboard.post(`/api/v1/${path}`, body);
      assert.ok(answer.status >= 400 && answer.status < 500, answer.text);
      assert.match(String(answer.body["detail"]), words);
    }
  });

  it("sorts no images that lie outside the roots: a move would remove them there", async () => {
    const classes = ["cat", "dog"];
    for (const [name, source] of [
      ["outside", `file://${folder}/photos`],
      ["linked", `file://${root}/way-out/photos`],
    ] as const) {
      const location = join(root, `scores-${name}`);
      await writeScores(
        { ...{ name, classes, source, location }, rows: [] },
        openStore(join(folder, "store")),
      );
      for (const how of ["copy", "move"]) {
        const asked = { scoring: `score-${name}`, into: join(root, "sorted"), how };
        const { status, body } = await dashboard.post("/api/v1/sortings", asked);
        assert.equal(status, 403, JSON.stringify(body));
        assert.match(String(body["detail"]), /photos" as the source of score-.*none of this server's roots/);
      }
    }
  });

  it("takes a root itself and what lies under it", async () => {
    const { body } = await dashboard.post("/api/v1/trainings", { source: join(root, "photos"), recipe });
    // It is looked at, and the store has no such backbone.
    assert.doesNotMatch(String(body["detail"]), /roots/);
    assert.match(String(body["detail"]), /tiny/);
  });
});

describe("rows of a manifest", () => {
  before(() => writeFile(join(root, "rows.csv"), `key,label\na.png,x\nfile://${folder}/secret.csv,y\n`));

  it("lead out of the roots no more than a request does", async () => {
    const manifest = { location: join(root, "rows.csv"), labelColumn: "label" };
    const source = join(root, "photos");
    const { status, body } = await dashboard.post("/api/v1/trainings", {
      ...{ source, manifest },
      recipe,
    });
    assert.equal(status, 422, JSON.stringify(body));
    assert.match(String(body["detail"]), /secret\.csv" lies outside the places/);
    // A link below a root leads out of it.
    await writeFile(join(root, "rows.csv"), `key,label\nfile://${root}/way-out/secret.csv,y\n`);
    const linked = await dashboard.post("/api/v1/trainings", { source, manifest, recipe });
    assert.match(String(linked.body["detail"]), /way-out\/secret\.csv" lies outside the places/);
    await writeFile(join(root, "rows.csv"), `key,label\nfile://${root}/photos/a.png,y\n`);
    const allowed = await dashboard.post("/api/v1/trainings", { source, manifest, recipe });
    assert.doesNotMatch(String(allowed.body["detail"]), /outside/);
  });
});
