import assert from "node:assert/strict";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type ObjectInfo, TrommelError } from "@trommel/common";
import { openStore } from "#common/store/open-store";
import { type S3Server, type S3ServerOptions, startS3Server } from "../../support/servers/s3-server.js";
import { withVariables } from "../../support/process/variables.js";

const text = (value: string) => new TextEncoder().encode(value);

const isError =
  (code: string, retryable: boolean, ...parts: readonly string[]) =>
  (thrown: unknown) => {
    assert.ok(thrown instanceof TrommelError, String(thrown));
    assert.deepEqual([thrown.code, thrown.retryable], [code, retryable], thrown.message);
    for (const part of parts) assert.ok(thrown.message.includes(part), `${thrown.message} names ${part}`);
    return true;
  };

async function keysOf(listing: AsyncIterable<ObjectInfo>): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of listing) keys.push(key);
  return keys;
}

/** What a test opened, closed in reverse order after it. */
const releases: (() => unknown)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

function setVariables(variables: Readonly<Record<string, string | undefined>>): void {
  releases.push(withVariables(variables));
}

async function startServer(options: S3ServerOptions = {}): Promise<S3Server> {
  const server = await startS3Server(options);
  releases.push(() => server.stop());
  server.createBucket("bucket");
  setVariables(server.env);
  return server;
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** An endpoint whose every answer the test decides, with credentials set for it. */
async function startAnswering(listener: RequestListener): Promise<string> {
  const server = createHttpServer(listener);
  releases.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const endpoint = await listen(server);
  setVariables({
    AWS_ENDPOINT_URL_S3: endpoint,
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "some-key",
    AWS_SECRET_ACCESS_KEY: "hunter2",
  });
  return endpoint;
}

function open(location = "s3://bucket/p", options: Parameters<typeof openStore>[1] = {}) {
  const store = openStore(location, options);
  releases.push(() => store.close());
  return store;
}

async function thrownBy(pending: Promise<unknown>): Promise<unknown> {
  try {
    await pending;
  } catch (thrown) {
    return thrown;
  }
  return assert.fail("nothing was thrown");
}

/** Every call of a store, for errors that all of them share. */
function everyCall(
  location?: string,
  options?: Parameters<typeof openStore>[1],
): Record<string, () => Promise<unknown>> {
  const store = open(location, options);
  return {
    get: () => store.get("k"),
    put: () => store.put("k", text("x")),
    putIfAbsent: () => store.put("k", text("x"), { ifAbsent: true }),
    head: () => store.head("k"),
    list: () => keysOf(store.list("")),
    delete: () => store.delete(["k"]),
  };
}

describe("a bucket that cannot be used", () => {
  // A developer's own profile must not answer for the tests.
  beforeEach(() => setVariables({ AWS_CONFIG_FILE: "/dev/null", AWS_SHARED_CREDENTIALS_FILE: "/dev/null" }));

  it("that does not exist is named by every call", async () => {
    const server = await startServer();
    for (const [name, call] of Object.entries(everyCall("s3://absent/p"))) {
      await assert.rejects(
        call(),
        isError("not-found", false, "bucket 'absent' does not exist", server.endpoint),
        name,
      );
    }
  });

  it("with a wrong key or secret says which variable to check, and repeats neither", async () => {
    await startServer();
    const wrong = { AWS_ACCESS_KEY_ID: "hunter2-id", AWS_SECRET_ACCESS_KEY: "hunter2-secret" };
    for (const [variable, value] of Object.entries(wrong)) {
      const restore = withVariables({ [variable]: value });
      for (const [name, call] of Object.entries(everyCall())) {
        const thrown = await thrownBy(call());
        // HEAD has no body, so its error names both variables.
        isError("forbidden", false, variable)(thrown);
        const { message, stack, cause } = thrown as TrommelError;
        const said = [message, stack, JSON.stringify(thrown), String(cause), JSON.stringify(cause)].join();
        assert.ok(!said.includes("hunter2") && !said.includes("trommel-test-secret"), `${name}: ${said}`);
      }
      restore();
    }
  });

  it("without credentials or a region says what to set", async () => {
    await startServer();
    setVariables({
      AWS_ACCESS_KEY_ID: undefined,
      AWS_SECRET_ACCESS_KEY: undefined,
      AWS_EC2_METADATA_DISABLED: "true",
    });
    await assert.rejects(open().get("k"), isError("forbidden", false, "AWS_ACCESS_KEY_ID", "AWS_PROFILE"));
    setVariables({ AWS_REGION: undefined });
    await assert.rejects(open().get("k"), isError("invalid-argument", false, "AWS_REGION"));
  });

  it("where nothing listens names the endpoint, without its password", { timeout: 12_000 }, async () => {
    const server = createServer();
    const endpoint = await listen(server);
    server.close();
    setVariables({ AWS_REGION: "us-east-1", AWS_ACCESS_KEY_ID: "k", AWS_SECRET_ACCESS_KEY: "s" });
    setVariables({ AWS_ENDPOINT_URL_S3: endpoint.replace("http://", "http://me:hunter2@") });
    for (const [name, call] of Object.entries(everyCall())) {
      const thrown = await thrownBy(call());
      isError("unavailable", true, endpoint, "AWS_ENDPOINT_URL_S3")(thrown);
      assert.ok(!JSON.stringify(thrown).includes("hunter2"), name);
    }
  });

  it("whose host name is unknown says so", { timeout: 12_000 }, async () => {
    setVariables({ AWS_REGION: "us-east-1", AWS_ACCESS_KEY_ID: "k", AWS_SECRET_ACCESS_KEY: "s" });
    setVariables({ AWS_ENDPOINT_URL_S3: "http://nothing.invalid:9000" });
    await assert.rejects(open().get("k"), isError("unavailable", true, "http://nothing.invalid:9000"));
  });

  it("that accepts and never answers ends within its bounds", { timeout: 12_000 }, async () => {
    const endpoint = await startAnswering(() => {});
    const store = open("s3://bucket", { s3: { maxAttempts: 2, idleTimeoutMs: 200 } });
    await assert.rejects(store.get("k"), isError("unavailable", true, endpoint, "in time"));
  });

  it("that answers 5xx is tried again, a bounded number of times", async () => {
    let requests = 0;
    const endpoint = await startAnswering((_request, response) => {
      requests += 1;
      response.writeHead(503).end("<Error><Code>SlowDown</Code></Error>");
    });
    const store = open("s3://bucket", { s3: { maxAttempts: 2 } });
    await assert.rejects(store.get("k"), isError("unavailable", true, endpoint, "503"));
    assert.equal(requests, 2);
  });
});

describe("a body from S3", () => {
  const answer = (chunks: string[], headers: Record<string, string>): RequestListener => {
    return (_request, response) => {
      response.writeHead(200, headers);
      for (const chunk of chunks) response.write(chunk);
      // The end is cut off where less was written than stated.
      if (headers["content-length"] === undefined) response.end();
      else response.socket?.end();
    };
  };

  it("that breaks off is an error to retry, never a short object", async () => {
    await startAnswering(answer(["abc"], { "content-length": "10" }));
    await assert.rejects(open().get("k"), (thrown) => thrown instanceof TrommelError && thrown.retryable);
  });

  it("that breaks off once is read again", async () => {
    let requests = 0;
    await startAnswering((request, response) => {
      requests += 1;
      if (requests === 1) return answer(["abc"], { "content-length": "10" })(request, response);
      response.writeHead(200, { "content-length": "3" }).end("abc");
    });
    assert.deepEqual(await open().get("k"), text("abc"));
    assert.equal(requests, 2);
  });

  it("of no stated length is read to its end, and bounded on the way", async () => {
    await startAnswering(answer(["abc", "def", "ghi"], {}));
    assert.deepEqual(await open().get("k"), text("abcdefghi"));
    await assert.rejects(open().get("k", { maxBytes: 5 }), isError("too-large", false, "5"));
  });

  it("that stalls is given up when the caller says so", { timeout: 10_000 }, async () => {
    const controller = new AbortController();
    await startAnswering((_request, response) => {
      response.writeHead(200, { "content-length": "10" }).write("abc");
      setImmediate(() => controller.abort());
    });
    await assert.rejects(open().get("k", { signal: controller.signal }), isError("cancelled", false, "k"));
  });
});

describe("what goes over the wire to S3", () => {
  const isChecksum = (header: string) => /^x-amz-(sdk-)?checksum/.test(header);

  it("is a body of stated length, with a checksum unless it is asked to do without", async () => {
    const server = await startServer();
    for (const required of [false, true]) {
      setVariables({ AWS_REQUEST_CHECKSUM_CALCULATION: required ? "WHEN_REQUIRED" : undefined });
      await open().put("k", text("abc"));
      const put = server.requests.at(-1);
      assert.equal(put?.method, "PUT");
      assert.equal(put.headers["content-length"], "3");
      assert.equal(put.headers["transfer-encoding"], undefined);
      assert.equal(put.headers["content-encoding"], undefined);
      assert.equal(Object.keys(put.headers).some(isChecksum), !required);
    }
  });

  it("has the bucket in the path where an endpoint is set", async () => {
    const server = await startServer();
    await open("s3://bucket/a b").put("k+1", text("x"));
    assert.match(server.requests.at(-1)?.url ?? "", /^\/bucket\/a%20b\/k%2B1(\?|$)/);
  });

  it("does without DeleteObjects and conditional writes after one refusal each, and says so once", async () => {
    const server = await startServer({ conditionalWrites: "refused", deleteObjects: "refused" });
    const notices: string[] = [];
    const store = open("s3://bucket", { onNotice: (notice) => notices.push(notice) });
    for (const key of ["a", "b", "c"])
      assert.equal(await store.put(key, text(key), { ifAbsent: true }), "written");
    assert.equal(await store.put("a", text("z"), { ifAbsent: true }), "exists");
    await store.delete(["a"]);
    await store.delete(["b", "never"]);
    assert.deepEqual(await keysOf(store.list("")), ["c"]);
    assert.equal(server.requests.filter(({ status }) => status === 501).length, 2);
    assert.equal(notices.length, 2);
    assert.match(notices[0] ?? "", /'bucket' has no conditional writes/);
    assert.match(notices[1] ?? "", /'bucket' has no DeleteObjects/);
  });

  it("removes 1000 keys a request", async () => {
    const server = await startServer();
    await open().delete(Array.from({ length: 2001 }, (_, i) => `k${i}`));
    assert.equal(server.requests.filter(({ method }) => method === "POST").length, 3);
  });
});

describe("a listing from S3", () => {
  const page = (keys: readonly string[], isTruncated = false) => {
    const contents = keys
      .map((key) => `<Contents><Key>${key}</Key><Size>1</Size><ETag>"e"</ETag></Contents>`)
      .join("");
    return `<?xml version="1.0"?><ListBucketResult><IsTruncated>${isTruncated}</IsTruncated>${contents}</ListBucketResult>`;
  };

  it("leaves out folder markers silently and unnameable keys aloud, or lists them in their place", async () => {
    const keys = ["", "../x", "/abs", "a", "b/", "b\\c", "c//d", "e"].map((key) => `p/${key}`);
    await startAnswering((_request, response) =>
      response.end(page(keys).replace(/(<Key>p\/b\/<\/Key>[^]*?<Size>)\d+/, "$10")),
    );
    const notices: string[] = [];
    const store = open("s3://bucket/p", { onNotice: (notice) => notices.push(notice) });
    assert.deepEqual(await keysOf(store.list("")), ["a", "e"]);
    assert.equal(notices.length, 4);
    assert.match(notices.at(-1) ?? "", /p\/c\/\/d/);
    const listed: string[] = [];
    for await (const { key, unusable } of store.list("", { withUnusable: true }))
      listed.push(unusable === undefined ? key : `${key}: ${unusable}`);
    assert.deepEqual(listed, [
      ...["../x: illegal-key", "/abs: illegal-key", "a", "b\\c: illegal-key", "c//d: illegal-key", "e"],
    ]);
    assert.equal(notices.length, 4);
  });

  it("out of order is refused, because shards are cut from the order", async () => {
    await startAnswering((_request, response) => response.end(page(["a", "b", "B"])));
    await assert.rejects(
      keysOf(open("s3://bucket").list("")),
      isError("unsupported", false, '"B" after "b"'),
    );
  });

  it("that says there is more and not where is refused", async () => {
    await startAnswering((_request, response) => response.end(page(["a"], true)));
    await assert.rejects(keysOf(open("s3://bucket").list("")), isError("unsupported", false, "bucket"));
  });
});
