import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { fileURLToPath } from "node:url";
import { drawDataset } from "../../../support/images/dataset.js";
import { trommelJson } from "../../../support/process/cli.js";
import { startS3Server, type RecordedRequest, type S3Server } from "../../../support/servers/s3-server.js";

const model = fileURLToPath(
  new URL("../../../../stores/2026-11-28/bucket/store/runs/first/bundle", import.meta.url),
);
const patient = 240_000;
let s3: S3Server;
let keys: readonly string[];

before(async () => {
  s3 = await startS3Server();
  for (const bucket of ["pictures", "results", "sorted"]) s3.createBucket(bucket);
  const drawn = await drawDataset(["glass", "met al"], { to: 5 });
  keys = [...drawn.keys()];
  for (const [key, bytes] of drawn) s3.putObject("pictures", `in/${key}`, bytes);
});

after(async () => {
  await s3.stop();
});

const isCopy = ({ method, headers }: RecordedRequest): boolean =>
  method === "PUT" && headers["x-amz-copy-source"] !== undefined;
const placeOf = ({ url }: RecordedRequest): string => decodeURIComponent(url.split("?")[0] ?? "");

it("sorts by copies that the server makes, one a picture, and reads no picture", async () => {
  const where = ["--store", "s3://results/store", "--workers", "1"];
  const run = (...args: string[]): Promise<unknown> =>
    trommelJson([...args, ...where], { env: s3.env, timeoutMs: patient });
  const output = "s3://results/scores";
  await run("score", "s3://pictures/in", "--model", model, "--output", output, "--shard-size", "4");
  const { length } = s3.requests;
  const sorted = (await run("sort", output, "--into", "s3://sorted/by-label")) as {
    readonly placed: number;
    readonly unplaced: number;
  };
  assert.deepEqual([sorted.placed, sorted.unplaced], [10, 0]);
  const made = s3.requests.slice(length);
  const copies = made.filter(isCopy);
  const sources = copies.map(({ headers }) =>
    decodeURIComponent(String(headers["x-amz-copy-source"])).replace(/^\/?pictures\/in\//, ""),
  );
  assert.deepEqual(sources.sort(), [...keys].sort());
  for (const { status } of copies) assert.equal(status, 200);
  // Each goes below a label of the model, under its whole key.
  for (const copy of copies)
    assert.match(placeOf(copy), /^\/sorted\/by-label\/(?:glass|metal|paper)\/(?:glass|met al)\/\d{3}\.png$/);
  const read = made.filter((one) => one.method === "GET" && placeOf(one).endsWith(".png"));
  assert.deepEqual(read.map(placeOf), []);
});
