/**
 * An S3 server that lists generated keys, a thousand a page, and does nothing else. It says its variables once it listens, and ends when
 * its channel closes. Its options come as JSON in the first argument.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { SyntheticSource, type SyntheticKeys } from "./synthetic-source.js";

const options = JSON.parse(process.argv[2] ?? "") as SyntheticKeys;
const keysPerPage = 1000;
const source = new SyntheticSource(options);

/** A page of ListObjectsV2; the token is the last key of the page before. */
async function pageAfter(token: string): Promise<string> {
  const contents: string[] = [];
  let last = "";
  let more = false;
  for await (const { key, sizeBytes, etag } of source.list("", { startAfter: token })) {
    more = contents.length === keysPerPage;
    if (more) break;
    last = key;
    contents.push(
      `<Contents><Key>${encodeURIComponent(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;${etag}&quot;</ETag><Size>${sizeBytes}</Size><StorageClass>STANDARD</StorageClass></Contents>`,
    );
  }
  const next = more ? `<NextContinuationToken>${encodeURIComponent(last)}</NextContinuationToken>` : "";
  return `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>keys</Name><Prefix></Prefix><MaxKeys>${keysPerPage}</MaxKeys><KeyCount>${contents.length}</KeyCount><EncodingType>url</EncodingType><IsTruncated>${more}</IsTruncated>${next}${contents.join("")}</ListBucketResult>`;
}

const server = createServer((request, response) => {
  const { searchParams } = new URL(request.url ?? "", "http://localhost");
  const token = decodeURIComponent(searchParams.get("continuation-token") ?? "");
  void pageAfter(token).then((page) => {
    response.writeHead(200, { "content-type": "application/xml" }).end(page);
  });
});
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  process.send?.({
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}`,
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "bench",
    AWS_SECRET_ACCESS_KEY: "bench",
  });
});
process.once("disconnect", () => process.exit(0));
