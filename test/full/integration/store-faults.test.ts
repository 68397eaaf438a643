import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { type ObjectInfo, type ObjectStore, TrommelError } from "@trommel/common";
import { openStore, type OpenStoreOptions } from "#common/store/open-store";
import { asStream } from "../../support/files/as-stream.js";
import {
  type Fault,
  type FaultyS3,
  type ProxiedRequest,
  startFaultyS3,
} from "../../support/servers/faulty-s3.js";
import { type S3Server, startS3Server } from "../../support/servers/s3-server.js";
import { withVariables } from "../../support/process/variables.js";

const text = (value: string) => new TextEncoder().encode(value);

async function keysOf(listing: AsyncIterable<ObjectInfo>): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of listing) keys.push(key);
  return keys;
}

const isError =
  (code: string, retryable: boolean, ...parts: readonly string[]) =>
  (thrown: unknown) => {
    assert.ok(thrown instanceof TrommelError, String(thrown));
    assert.deepEqual([thrown.code, thrown.retryable], [code, retryable], thrown.message);
    for (const part of parts) assert.ok(thrown.message.includes(part), `${thrown.message} names ${part}`);
    return true;
  };

const releases: (() => unknown)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

interface Setting {
  readonly server: S3Server;
  readonly proxy: FaultyS3;
  readonly store: ObjectStore;
  readonly notices: string[];
}

/** A store on a real server behind the proxy; waits are a hundredth of the default. */
async function setUp(
  s3: OpenStoreOptions["s3"] = {},
  variables: Record<string, string> = {},
): Promise<Setting> {
  const server = await startS3Server();
  releases.push(() => server.stop());
  server.createBucket("bucket");
  const proxy = await startFaultyS3(server.endpoint);
  releases.push(() => proxy.stop());
  releases.push(withVariables({ ...server.env, AWS_ENDPOINT_URL_S3: proxy.endpoint, ...variables }));
  const notices: string[] = [];
  const store = openStore("s3://bucket/p", {
    onNotice: (notice) => notices.push(notice),
    s3: { firstRetryDelayMs: 1, idleTimeoutMs: 10_000, ...s3 },
  });
  releases.push(() => store.close());
  return { server, proxy, store, notices };
}

/** The fault for the first `times` requests that match, counted from when the rule is set. */
function first(times: number, fault: Fault, matches: (request: ProxiedRequest) => boolean = () => true) {
  let left = times;
  return (request: ProxiedRequest): Fault | undefined => {
    if (left === 0 || !matches(request)) return undefined;
    left -= 1;
    return fault;
  };
}

const withoutChecksums = {
  AWS_REQUEST_CHECKSUM_CALCULATION: "WHEN_REQUIRED",
  AWS_RESPONSE_CHECKSUM_VALIDATION: "WHEN_REQUIRED",
};

const passing: Readonly<Record<string, Fault>> = {
  "500 InternalError": { kind: "answer", status: 500, code: "InternalError" },
  "502 of a gateway": { kind: "answer", status: 502, code: "BadGateway" },
  "503 SlowDown": { kind: "answer", status: 503, code: "SlowDown" },
  "429": { kind: "answer", status: 429, code: "TooManyRequests" },
  "408 RequestTimeout": { kind: "answer", status: 408, code: "RequestTimeout" },
  "a reset": { kind: "reset" },
  "an answer that is lost": { kind: "answer-lost" },
  silence: { kind: "silent" },
};

describe("a request that fails for a while", () => {
  for (const [name, fault] of Object.entries(passing)) {
    it(`by ${name} is repeated in every call, and the result is the true one`, async () => {
      const { proxy, store } = await setUp(fault.kind === "silent" ? { idleTimeoutMs: 150 } : {});
      await store.put("k", text("before"));
      const calls: Record<string, () => Promise<unknown>> = {
        put: () => store.put("k", text("after")),
        get: async () => assert.deepEqual(await store.get("k"), text("after")),
        head: async () => assert.equal((await store.head("k"))?.sizeBytes, 5),
        list: async () => assert.deepEqual(await keysOf(store.list("")), ["k"]),
        new: async () => assert.equal(await store.put("new", text("x"), { ifAbsent: true }), "written"),
        old: async () => assert.equal(await store.put("k", text("z"), { ifAbsent: true }), "exists"),
        delete: () => store.delete(["k", "never"]),
        gone: async () => assert.equal(await store.head("k"), undefined),
      };
      for (const [what, call] of Object.entries(calls)) {
        const before = proxy.requests.length;
        proxy.rule = first(2, fault);
        await call();
        assert.ok(proxy.requests.length >= before + 3, `${what} was repeated`);
      }
    });
  }

  it("by the writing itself, when its answer is lost, is still the one that wrote", async () => {
    const { proxy, store } = await setUp();
    proxy.rule = first(1, { kind: "answer-lost" }, ({ method }) => method === "PUT");
    assert.equal(await store.put("k", text("mine"), { ifAbsent: true }), "written");
    proxy.rule = first(
      1,
      { kind: "answer", status: 500, code: "InternalError" },
      ({ method }) => method === "PUT",
    );
    assert.equal(await store.put("j", text("mine"), { ifAbsent: true }), "written");
  });
});

describe("an object in parts", () => {
  const whole = Buffer.alloc(20 * 1024 * 1024, "abcdefgh");
  const chunks = () =>
    asStream(Array.from({ length: 7 }, (_, i) => whole.subarray(i * 3_000_000, (i + 1) * 3_000_000)));
  const isPart = ({ method, url }: ProxiedRequest) => method === "PUT" && url.includes("partNumber");
  const isEnd = ({ method, url }: ProxiedRequest) => method === "POST" && url.includes("uploadId");

  for (const [what, concerns] of Object.entries({ "a part": isPart, "the completion": isEnd })) {
    it(`is whole where the answer to ${what} is lost, or comes late`, async () => {
      const { proxy, store } = await setUp();
      for (const fault of [
        { kind: "answer-lost" },
        { kind: "answer", status: 503, code: "SlowDown" },
      ] as const) {
        const before = proxy.requests.filter(concerns).length;
        proxy.rule = first(1, fault, concerns);
        await store.putStream("k", chunks());
        assert.ok(whole.equals(await store.get("k")));
        assert.equal(proxy.requests.filter(concerns).length - before, (concerns === isPart ? 3 : 1) + 1);
        await store.delete(["k"]);
      }
    });
  }

  it("is not there, and its upload is aborted, where a part is refused for good", async () => {
    const { proxy, store } = await setUp();
    proxy.rule = (request) => (isPart(request) ? { kind: "answer", status: 507, code: "X" } : undefined);
    await assert.rejects(store.putStream("k", chunks()), isError("store-full", true, "no room"));
    proxy.rule = () => undefined;
    assert.equal(await store.head("k"), undefined);
    assert.equal(
      proxy.requests.filter(({ method, url }) => method === "DELETE" && url.includes("uploadId")).length,
      1,
    );
  });
});

describe("a request that fails for good", () => {
  const put = ({ method }: ProxiedRequest) => method === "PUT";
  const cases: readonly { fault: Fault; code: string; tries: number; says: string }[] = [
    {
      fault: { kind: "answer", status: 500, code: "InternalError" },
      code: "unavailable",
      tries: 8,
      says: "500",
    },
    {
      fault: { kind: "answer", status: 503, code: "SlowDown" },
      code: "unavailable",
      tries: 8,
      says: "SlowDown",
    },
    { fault: { kind: "reset" }, code: "unavailable", tries: 8, says: "closed the connection" },
    { fault: { kind: "answer", status: 507, code: "X" }, code: "store-full", tries: 1, says: "no room" },
    {
      fault: { kind: "answer", status: 403, code: "QuotaExceeded" },
      code: "store-full",
      tries: 1,
      says: "no room",
    },
  ];
  for (const { fault, code, tries, says } of cases) {
    it(`by ${JSON.stringify(fault)} ends after ${tries} tries with ${code}, to be tried again later`, async () => {
      const { proxy, store } = await setUp();
      await store.head("seen");
      proxy.rule = (request) => (put(request) ? fault : undefined);
      await assert.rejects(store.put("k", text("x")), isError(code, true, "s3://bucket/p/k", says));
      assert.equal(proxy.requests.filter(put).length, tries);
    });
  }

  it("is given up sooner where the server never answered, and as AWS_MAX_ATTEMPTS says", async () => {
    for (const [variables, tries] of [
      [{}, 4],
      [{ AWS_MAX_ATTEMPTS: "2" }, 2],
    ] as const) {
      const { proxy, store } = await setUp({}, variables);
      proxy.rule = () => ({ kind: "reset" });
      await assert.rejects(store.get("k"), isError("unavailable", true));
      assert.equal(proxy.requests.length, tries);
    }
    releases.push(withVariables({ AWS_MAX_ATTEMPTS: "many" }));
    assert.throws(
      () => openStore("s3://bucket"),
      isError("invalid-argument", false, "AWS_MAX_ATTEMPTS", "many"),
    );
  });

  it("by refusal is not repeated", async () => {
    const { proxy, store } = await setUp();
    for (const [status, code] of [
      [403, "AccessDenied"],
      [404, "NoSuchKey"],
      [400, "InvalidArgument"],
    ] as const) {
      const before = proxy.requests.length;
      proxy.rule = () => ({ kind: "answer", status, code });
      await assert.rejects(store.get("k"), TrommelError);
      assert.equal(proxy.requests.length, before + 1);
    }
  });

  it("is not waited for beyond the window", async () => {
    const { proxy, store } = await setUp({ maxAttempts: 1000, firstRetryDelayMs: 40, retryWindowMs: 200 });
    proxy.rule = () => ({ kind: "answer", status: 500, code: "InternalError" });
    await assert.rejects(store.get("k"), isError("unavailable", true));
    // 20 + 40 + 80 + 160 > 200 even where every wait is drawn shortest.
    assert.ok(proxy.requests.length >= 2 && proxy.requests.length <= 5, `${proxy.requests.length} tries`);
  });

  it(
    "lets go at once of a wait that the caller ends, or the store's closing",
    { timeout: 20_000 },
    async () => {
      const { proxy, store } = await setUp({ firstRetryDelayMs: 100_000, retryWindowMs: 10_000_000 });
      const answered = (count: number) =>
        new Promise<void>((resolve) => {
          proxy.rule = ({ number }) => {
            if (number === count) setTimeout(resolve, 50);
            return { kind: "answer", status: 503, code: "SlowDown" };
          };
        });
      const stop = new AbortController();
      const waits = answered(1);
      const getting = assert.rejects(
        store.get("k", { signal: stop.signal }),
        isError("cancelled", false, "k"),
      );
      await waits;
      stop.abort();
      await getting;
      const waitsAgain = answered(2);
      const putting = assert.rejects(store.put("k", text("x")), isError("unavailable", true, "SlowDown"));
      await waitsAgain;
      store.close();
      await putting;
      assert.equal(proxy.requests.length, 2);
    },
  );

  it("for overload waits ten times as long as for a fault, and as long as the server asks", async () => {
    const waited = async (fault: Fault): Promise<number> => {
      const { proxy, store } = await setUp({ firstRetryDelayMs: 20, maxAttempts: 2 });
      proxy.rule = () => fault;
      const start = performance.now();
      await assert.rejects(store.get("k"), isError("unavailable", true));
      return performance.now() - start;
    };
    // Lower bounds alone: a busy machine can only make them longer.
    assert.ok((await waited({ kind: "answer", status: 503, code: "SlowDown" })) >= 100);
    const headers = { "retry-after": "1" };
    assert.ok((await waited({ kind: "answer", status: 503, code: "SlowDown", headers })) >= 1000);
  });
});

const bodies: Readonly<Record<string, Fault>> = {
  "stops half way": { kind: "stall", bytes: 500 },
  "is cut short": { kind: "cut", bytes: 500 },
  "has one bit flipped": { kind: "corrupt", way: "down" },
  "is shortened with its length": { kind: "shorten", bytes: 500 },
};
/** What servers send with a body: checksums that the SDK compares, or an MD5 as the etag alone. */
const protections = {
  "with checksums": { variables: {}, strip: undefined },
  "with an MD5 etag": { variables: withoutChecksums, strip: /^x-amz-checksum/ },
};

describe("a body that does not come as it was sent", () => {
  const body = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7919) >>> 3);
  const isGet = ({ method }: ProxiedRequest) => method === "GET";

  for (const [how, { variables, strip }] of Object.entries(protections)) {
    for (const [name, fault] of Object.entries(bodies)) {
      it(`and ${name}, ${how}, is read again`, async () => {
        const { proxy, store } = await setUp(fault.kind === "stall" ? { idleTimeoutMs: 150 } : {}, variables);
        proxy.stripAlways = strip;
        await store.put("k", body);
        proxy.rule = first(1, fault, isGet);
        assert.deepEqual(await store.get("k"), body);
        assert.equal(proxy.requests.filter(isGet).length, 2);
      });
    }

    it(`each time another way, ${how}, ends as corrupt or unavailable, never as a body`, async () => {
      const { proxy, store } = await setUp({}, variables);
      proxy.stripAlways = strip;
      await store.put("k", body);
      proxy.rule = ({ number }) => ({ kind: "corrupt", way: "down", at: number });
      await assert.rejects(store.get("k"), isError("corrupt", true, "s3://bucket/p/k"));
      assert.equal(proxy.requests.filter(isGet).length, 8);
    });
  }

  it("on its way up is refused by the server and sent again", async () => {
    for (const variables of [{}, withoutChecksums]) {
      const { proxy, store } = await setUp({}, variables);
      // The server of these tests compares no checksum; the test does, as S3 would.
      const isPut = ({ method }: ProxiedRequest) => method === "PUT";
      proxy.rule = first(1, { kind: "answer", status: 400, code: "BadDigest" }, isPut);
      await store.put("k", body);
      assert.equal(proxy.requests.filter(isPut).length, 2);
      const sent = proxy.requests.find(({ method }) => method === "PUT")?.headers ?? {};
      assert.ok(sent["x-amz-checksum-crc32"] !== undefined || sent["content-md5"] !== undefined);
    }
  });

  it("but whose etag is no MD5 of it is taken when it comes the same twice", async () => {
    const { proxy, store } = await setUp({}, withoutChecksums);
    const headers = { etag: '"0123456789abcdef0123456789abcdef"' };
    proxy.rule = () => ({ kind: "body", body: "abc", headers });
    assert.deepEqual(await store.get("k"), text("abc"));
    assert.equal(proxy.requests.length, 2);
    // Such a server's etags are known by then.
    assert.deepEqual(await store.get("j"), text("abc"));
    assert.equal(proxy.requests.length, 3);
  });
});

describe("a listing that is disturbed", () => {
  const isList = ({ url }: ProxiedRequest) => url.includes("list-type=2");
  const keys = Array.from({ length: 1100 }, (_, i) => `k${String(i).padStart(4, "0")}`);

  let server: S3Server;
  before(async () => {
    server = await startS3Server();
    server.createBucket("bucket");
    const restore = withVariables(server.env);
    const store = openStore("s3://bucket/p");
    for (let i = 0; i < keys.length; i += 50)
      await Promise.all(keys.slice(i, i + 50).map((key) => store.put(key, text("x"))));
    store.close();
    restore();
  });
  after(() => server.stop());

  async function openFull(): Promise<{ proxy: FaultyS3; store: ObjectStore }> {
    const proxy = await startFaultyS3(server.endpoint);
    releases.push(() => proxy.stop());
    releases.push(withVariables({ ...server.env, AWS_ENDPOINT_URL_S3: proxy.endpoint }));
    const store = openStore("s3://bucket/p", { s3: { firstRetryDelayMs: 1, idleTimeoutMs: 500 } });
    releases.push(() => store.close());
    return { proxy, store };
  }

  it("by pages that fail, stop, or end too early as if they were whole, gives every key once", async () => {
    const { proxy, store } = await openFull();
    const faults: Fault[] = [
      { kind: "answer", status: 503, code: "SlowDown" },
      { kind: "cut", bytes: 5000 },
      { kind: "stall", bytes: 5000 },
      ...[1, 60, 150, 400, 5000, 9999].map((bytes): Fault => ({ kind: "shorten", bytes })),
      { kind: "body", body: "" },
      { kind: "body", body: "<html><body>Please log in</body></html>" },
      { kind: "body", body: "<ListBucketResult></ListBucketResult>" },
      {
        kind: "body",
        body: "<ListBucketResult><IsTruncated>false</IsTruncated><Contents/></ListBucketResult>",
      },
    ];
    for (const fault of faults) {
      proxy.rule = first(1, fault, isList);
      assert.deepEqual(await keysOf(store.list("")), keys, JSON.stringify(fault));
      // And the same in the middle of the stream.
      let pages = 0;
      proxy.rule = (request) => (isList(request) && (pages += 1) === 2 ? fault : undefined);
      assert.deepEqual(await keysOf(store.list("")), keys, `second page: ${JSON.stringify(fault)}`);
    }
  });

  it("for good ends with an error, never with fewer keys", async () => {
    const { proxy, store } = await openFull();
    proxy.rule = (request) => (isList(request) ? { kind: "shorten", bytes: 5000 } : undefined);
    await assert.rejects(keysOf(store.list("")), isError("corrupt", true, "bucket"));
    proxy.rule = () => ({ kind: "body", body: "<html>Please log in</html>" });
    await assert.rejects(keysOf(store.list("")), isError("corrupt", true, "bucket"));
  });

  it("by objects that come and go between its pages gives all others once, in order", async () => {
    const { store } = await openFull();
    const gone = new Set(keys.filter((_, i) => i % 7 === 0));
    const seen: string[] = [];
    for await (const { key } of store.list("")) {
      if (seen.push(key) !== 400) continue;
      // The first page has been read, and the second is not yet on its way (it is from the middle of the first one on): what
      // changes on the first is not seen any more, what changes behind it is.
      await store.delete([...gone]);
      await store.put("k0500-new", text("x"));
      await store.put("k1050-new", text("x"));
    }
    const expected = [
      ...keys.slice(0, 1000),
      ...[...keys.slice(1000).filter((key) => !gone.has(key)), "k1050-new"].sort(),
    ];
    assert.deepEqual(seen, expected);
  });
});

describe("what a store says when it fails", () => {
  it("holds no secret, no signature and no signed address", async () => {
    const { proxy, server } = await setUp();
    const [scheme, rest] = proxy.endpoint.split("://");
    const secrets = { user: "endpoint-user", password: "endpoint-pass" };
    releases.push(
      withVariables({
        AWS_ENDPOINT_URL_S3: `${scheme}://${secrets.user}:${secrets.password}@${rest}`,
        AWS_SESSION_TOKEN: "session-token-value",
      }),
    );
    const notices: string[] = [];
    const store = openStore("s3://bucket/p", {
      onNotice: (notice) => notices.push(notice),
      s3: { firstRetryDelayMs: 1, maxAttempts: 2, idleTimeoutMs: 100 },
    });
    releases.push(() => store.close());
    const faults: Fault[] = [
      ...Object.values(passing),
      { kind: "answer", status: 403, code: "AccessDenied" },
      { kind: "answer", status: 301, code: "PermanentRedirect" },
      { kind: "body", body: "<html>" },
    ];
    for (const fault of faults) {
      proxy.rule = () => fault;
      for (const call of [
        () => store.get("k"),
        () => store.put("k", text("x")),
        () => store.head("k"),
        () => keysOf(store.list("")),
        () => store.delete(["k"]),
      ]) {
        const thrown: unknown = await call().then(
          () => undefined,
          (reason: unknown) => reason,
        );
        if (thrown === undefined) continue;
        const said = everythingOf(thrown) + notices.join();
        for (const secret of [
          ...Object.values(secrets),
          server.env["AWS_SECRET_ACCESS_KEY"] ?? "",
          "session-token-value",
          "Signature=",
          "X-Amz-",
        ]) {
          assert.ok(!said.includes(secret), `${JSON.stringify(fault)}: ${secret} is in ${said}`);
        }
      }
    }
  });
});

/** Everything that a logger, a job queue or a thread could make of an error. */
function everythingOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const own = Object.getOwnPropertyNames(thrown)
    .filter((name) => name !== "cause")
    .map((name) => JSON.stringify((thrown as unknown as Record<string, unknown>)[name]));
  return [String(thrown), JSON.stringify(thrown), ...own, everythingOf(thrown.cause)].join("\n");
}
