/**
 * Makes the store of this folder with the code of an earlier commit: `node make.mjs <built checkout of that commit>`.
 * Everything is made in a bucket, so that the locations inside the artefacts are those of no machine, and is then
 * written to bucket/, one file per object.
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [checkout = ""] = process.argv.slice(2);
const here = path.dirname(process.argv[1]);
const built = (file) => import(pathToFileURL(path.resolve(checkout, file)).href);
const { startS3Server } = await built("test/dist/support/s3-server.js");
const { badFiles, drawDataset, drawUnlabelled } = await built("test/dist/support/dataset.js");
const { writeTinyBackbone } = await built("test/dist/support/tiny-backbone.js");
const { trommelJson } = await built("test/dist/support/cli.js");
const { openStore } = await built("packages/common/dist/index.js");

const labels = ["glass", "metal", "paper"];
const bucket = "trommel-store";
const root = `s3://${bucket}`;
const server = await startS3Server();
server.createBucket(bucket);
Object.assign(process.env, server.env);
const env = { ...server.env, TROMMEL_STORE: `${root}/store` };
// A fixed name: the backbone keeps where it came from.
const folder = "/tmp/trommel-make-store";
try {
  const { files } = await drawUnlabelled(labels, 12, 5);
  const bad = await badFiles();
  const pictures = [
    ...[...(await drawDataset(labels, { to: 12 }))].map(([key, bytes]) => [`labelled/${key}`, bytes]),
    ...[...bad].map(([name, { bytes }]) => [`labelled/glass/${name}`, bytes]),
    ...[...files].map(([key, bytes]) => [`unlabelled/${key}`, bytes]),
    ...[...bad].map(([name, { bytes }]) => [`unlabelled/in/${name}`, bytes]),
  ];
  for (const [key, bytes] of pictures) server.putObject(bucket, `pictures/${key}`, bytes);
  const model = await writeTinyBackbone(folder);
  await trommelJson(["backbone", "import", model, "--name", "tiny"], { env });
  const train = ["train", `${root}/pictures/labelled`, "--backbone", "tiny", "--run", "first"];
  const recipe = ["--shard-size", "16", "--views", "3", "--epochs", "30", "--learning-rate", "0.02"];
  const svd = ["--energy", "0.999", "--step", "8", "--validation", "0.2"];
  await trommelJson([...train, ...recipe, ...svd, "--workers", "1"], { env });
  const score = ["score", `${root}/pictures/unlabelled`, "--model", "first", "--output", `${root}/scores`];
  await trommelJson([...score, "--format", "csv", "--shard-size", "8", "--workers", "1"], { env });
  await rm(path.join(here, "bucket"), { recursive: true, force: true });
  const store = openStore(root);
  for await (const { key } of store.list("")) {
    const file = path.join(here, "bucket", key);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, await store.get(key));
  }
  store.close();
} finally {
  await server.stop();
  await rm(folder, { recursive: true });
}
