import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { trommel } from "../../support/process/cli.js";
import { startS3Server, type S3Server } from "../../support/servers/s3-server.js";

const folder = await temporaryFolder("manifest-credentials");
const model = fileURLToPath(
  new URL("../../../stores/2026-11-28/bucket/store/runs/first/bundle", import.meta.url),
);
let s3: S3Server;

before(async () => {
  s3 = await startS3Server({ payingBuckets: ["closed"] });
  for (const bucket of ["open", "closed"]) {
    s3.createBucket(bucket);
    s3.putObject(bucket, "a.png", Buffer.from("a"));
  }
});

after(async () => {
  await s3.stop();
});

it("refuses a manifest of which one bucket cannot be read, with the row that leads there", async () => {
  const file = join(folder, "b.png");
  await writeFile(file, "b");
  const list = join(folder, "mixed.csv");
  const rows = ["s3://open/a.png", pathToFileURL(file).href, "s3://closed/a.png", "s3://closed/b.png"];
  await writeFile(list, ["key", ...rows, ""].join("\n"));
  const args = ["score", "--manifest", list, "--model", model, "--output", join(folder, "out"), "--dry-run"];
  const { code, stdout, stderr } = await trommel([...args, "--store", join(folder, "store")], {
    env: s3.env,
  });
  assert.equal(code, 1, stdout);
  assert.match(stderr, /^trommel: cannot read what .*mixed\.csv, line 4, names: .*s3:\/\/closed/);
  assert.equal(stderr.trimEnd().split("\n").length, 1);
  await writeFile(list, ["key", ...rows.slice(0, 2), ""].join("\n"));
  const open = await trommel([...args, "--store", join(folder, "store")], { env: s3.env });
  assert.match(open.stdout, /: 2 images to score in 1 shard \(2 objects, 2 bytes\)/);
});
