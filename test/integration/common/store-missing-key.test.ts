import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { it } from "node:test";
import { findMarker, openStore, ReleaseStack } from "@trommel/common";
import { withVariables } from "../../support/process/variables.js";

/** What a server may say beside 404 where a key is missing: spoilt on the way, nothing, or words of its own. */
const bodies = ["<Error><Code>NoSuchKex</Code></Error>", "", "<Error><Code>NotHere</Code></Error>"];

it("takes any 404 for a missing key where the bucket stands", async () => {
  const releases = new ReleaseStack();
  let body = "";
  const server = createServer((request, response) => {
    const isBucket = request.method === "HEAD" && request.url?.startsWith("/bucket/key") === false;
    response.writeHead(isBucket ? 200 : 404, { "content-type": "application/xml" }).end(body);
  });
  releases.add("server", () => void server.close());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const restore = withVariables({
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "key",
    AWS_SECRET_ACCESS_KEY: "secret",
  });
  releases.add("variables", restore);
  try {
    for (body of bodies) {
      const store = openStore("s3://bucket");
      await assert.rejects(store.get("key"), {
        code: "not-found",
        context: { store: "s3://bucket", key: "key" },
      });
      assert.equal(await findMarker(store, "key"), undefined);
      store.close();
    }
  } finally {
    assert.deepEqual(await releases.releaseAll(), []);
  }
});
