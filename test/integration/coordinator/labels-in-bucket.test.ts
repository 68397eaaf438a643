import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openStore, recipe } from "@trommel/common";
import { resolveLabels } from "#coordinator/labels/resolve-labels";
import { startS3Server, type S3Server } from "../../support/servers/s3-server.js";
import { withVariables } from "../../support/process/variables.js";

let s3: S3Server;
let restore = (): void => undefined;

before(async () => {
  s3 = await startS3Server();
  s3.createBucket("there");
  restore = withVariables(s3.env);
  const store = openStore("s3://there");
  const files = {
    "pictures/a 1.jpg": "",
    "pictures/a 1.txt": "a 1.jpg, 1",
    "pictures/b/2.jpg": "",
    "pictures/b/2.txt": "2.jpg, 可回收物/易拉罐",
    "pictures/classes.txt": "可回收物/易拉罐 0\nx 1\n",
    "labels.csv": "id,label\na 1,x\n2,y\n",
  };
  for (const [key, text] of Object.entries(files)) await store.put(key, Buffer.from(text));
  store.close();
});

after(async () => {
  restore();
  await s3.stop();
});

describe("labels in a bucket", () => {
  const resolve = (labels: object) =>
    resolveLabels({ location: "s3://there/pictures" }, recipe.parse({ backbones: ["any"], labels }));

  it("are read from a table at its root", async () => {
    const { classes, table } = await resolve({ source: { type: "csv", file: "s3://there/labels.csv" } });
    assert.deepEqual(classes, ["x", "y"]);
    assert.deepEqual(table?.labels, [
      ["a 1.jpg", "x"],
      ["b/2.jpg", "y"],
    ]);
  });

  it("are read from files beside the pictures, a class list among them", async () => {
    const list = "s3://there/pictures/classes.txt";
    const { classes, table } = await resolve({ source: { type: "sidecar" }, classes: list });
    assert.deepEqual(classes, ["可回收物/易拉罐", "x"]);
    assert.deepEqual(table?.labels, [
      ["a 1.jpg", "x"],
      ["b/2.jpg", "可回收物/易拉罐"],
    ]);
    await assert.rejects(resolve({ source: { type: "csv", file: "s3://there/pictures/none.csv" } }), {
      code: "not-found",
      message: /s3:\/\/there\/pictures\/none\.csv/,
    });
  });
});
