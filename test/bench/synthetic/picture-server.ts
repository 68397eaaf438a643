/**
 * An S3 server in a process of its own, with the same pictures as objects and in archives. It says its variables once all are there, and
 * ends when its channel closes. Its options come as JSON in the first argument.
 */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { startS3Server } from "../../support/servers/s3-server.js";
import { parquetOf, tarOf, zipOf, type NamedFile } from "../material/archive-files.js";
import { served, type PictureServerOptions } from "../material/served-pictures.js";

const bucket = "pictures";

const { folder, names } = JSON.parse(process.argv[2] ?? "") as PictureServerOptions;
const server = await startS3Server();
server.createBucket(bucket);
const put = (location: string, body: Buffer): void =>
  server.putObject(bucket, location.slice(`s3://${bucket}/`.length), body);
const files: NamedFile[] = [];
for (const name of names) files.push({ name, bytes: await readFile(path.join(folder, name)) });
for (const { name, bytes } of files) put(`${served.folder}/${name}`, Buffer.from(bytes));
put(served.manifest, Buffer.from(["key", ...names, ""].join("\n")));
put(served.tar, tarOf(files));
put(served.zip, zipOf(files));
put(served.parquet, parquetOf(files));
process.once("disconnect", () => process.exit(0));
process.send?.(server.env);
