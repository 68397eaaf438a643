import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { after, before, describe, it } from "node:test";
import { HttpStore } from "#common/store/http/http-store";
import { hostRules, isPrivateAddress } from "#common/store/http/host-rules";
import { locateObject } from "@trommel/common/store";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { hasOpenssl, startHttpsServer } from "../../../support/servers/https-server.js";

const folder = await temporaryFolder("https");
const body = Buffer.from(Array.from({ length: 5000 }, (_, i) => i % 256));
let ca: string;
let origin: string;
let asked: string[] = [];
let failures = 0;
let connections = 0;
let stop: () => void;

/** Odd etags by the path that has them. */
const bare: Readonly<Record<string, (isHead: boolean) => string | undefined>> = {
  "/bare": () => undefined,
  "/half": (isHead) => (isHead ? undefined : '"v1"'),
  "/hashed": () => `"sha256-${"a".repeat(64)}"`,
};

function answer(request: IncomingMessage, response: ServerResponse): void {
  const { pathname } = new URL(request.url ?? "", "https://host");
  asked.push(`${request.method ?? ""} ${request.url ?? ""}`);
  if (failures > 0) {
    failures -= 1;
    response.writeHead(503).end();
  } else if (pathname === "/a.jpg") {
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const part = range === null ? body : body.subarray(Number(range[1]), Number(range[2]) + 1);
    response.writeHead(range === null ? 200 : 206, { etag: '"one"', "content-length": part.length });
    response.end(request.method === "HEAD" ? undefined : part);
  } else if (pathname in bare) {
    const isHead = request.method === "HEAD";
    const etag = bare[pathname]?.(isHead);
    response.writeHead(200, { "content-length": body.length, ...(etag === undefined ? {} : { etag }) });
    response.end(isHead ? undefined : body);
  } else if (pathname === "/away")
    response.writeHead(302, { location: "https://elsewhere.test/a.jpg" }).end();
  else if (pathname === "/there") response.writeHead(302, { location: "/a.jpg", "content-length": 0 }).end();
  else if (pathname === "/forbidden") response.writeHead(403).end();
  else response.writeHead(404, { "content-length": 0 }).end();
}

before(async () => {
  if (!hasOpenssl) return;
  const started = await startHttpsServer(folder, answer);
  ({ ca, origin, stop } = started);
  started.server.on("secureConnection", () => (connections += 1));
});
after(() => stop?.());

const rules = { hosts: ["localhost"], allowPrivate: true };
const open = (more: object = {}) =>
  new HttpStore(origin, { rules, ca, retries: { firstDelayMs: 1 }, ...more });

describe("objects by https", { skip: hasOpenssl ? false : "openssl is missing" }, () => {
  it("are read whole and by ranges, by redirects within the list, again after a server's failure, and held to their etag", async () => {
    const store = open();
    assert.deepEqual(await store.head("a.jpg"), { key: "a.jpg", sizeBytes: body.length, etag: "one" });
    const whole = await store.get("there", { etag: "one" });
    const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
    assert.equal(hash(whole), hash(body));
    const part = await store.get("a.jpg", { range: { offset: 100, length: 7 } });
    assert.deepEqual([...part], [...body.subarray(100, 107)]);
    failures = 2;
    asked = [];
    assert.equal((await store.get("a.jpg?size=1")).length, body.length);
    assert.deepEqual(asked, Array<string>(3).fill("GET /a.jpg?size=1"));
    assert.equal(await store.head("nowhere"), undefined);
    await assert.rejects(store.get("nowhere"), { code: "not-found" });
    await assert.rejects(store.get("forbidden"), { code: "forbidden" });
    await assert.rejects(store.get("a.jpg", { etag: "two" }), { code: "changed" });
    await assert.rejects(store.get("a.jpg", { maxBytes: 10 }), { code: "too-large" });
    store.close();
  });

  it("are held to the hash of their bytes if the server gives no etag, or one for GET alone", async () => {
    const store = open();
    const etag = `content-sha256-${createHash("sha256").update(body).digest("hex")}`;
    for (const key of ["bare", "half"]) {
      assert.equal((await store.head(key))?.etag, "");
      assert.deepEqual(await store.headByContent(key), { key, sizeBytes: body.length, etag });
      assert.equal((await store.get(key, { etag })).length, body.length);
      await assert.rejects(store.get(key, { etag: `content-sha256-${"0".repeat(64)}` }), { code: "changed" });
    }
    await assert.rejects(store.headByContent("nowhere"), { code: "not-found" });
    store.close();
  });

  it("are held to an etag of the server that looks like a hash", async () => {
    const store = open();
    const { etag = "" } = (await store.head("hashed")) ?? {};
    assert.match(etag, /^sha256-/);
    assert.equal((await store.get("hashed", { etag })).length, body.length);
    store.close();
  });

  it("are looked at over one connection, whether they exist or not", async () => {
    const store = open();
    connections = 0;
    for (const key of ["a.jpg", "nowhere", "there", "a.jpg"])
      assert.equal((await store.head(key))?.sizeBytes, key === "nowhere" ? undefined : body.length);
    assert.equal(connections, 1);
    store.close();
  });

  it("are read from no host beside the list, no private address unless that is allowed, and not by a redirect there", async () => {
    const other = open({ rules: { hosts: ["example.com"], allowPrivate: true } });
    await assert.rejects(other.get("a.jpg"), {
      code: "forbidden",
      message: /not among the hosts.*TROMMEL_HTTPS_HOSTS/,
    });
    asked = [];
    const careful = open({ rules: { hosts: ["localhost"], allowPrivate: false } });
    await assert.rejects(careful.get("a.jpg"), {
      code: "forbidden",
      message: /private.*TROMMEL_HTTPS_PRIVATE/,
    });
    assert.deepEqual(asked, [], "nothing is asked there");
    await assert.rejects(open().get("away"), { code: "forbidden", message: /elsewhere\.test/ });
  });
});

describe("the rules of hosts", () => {
  it("come from variables", () => {
    assert.deepEqual(hostRules({}), { hosts: [], allowPrivate: false });
    const env = { TROMMEL_HTTPS_HOSTS: "A.example, *.b.example", TROMMEL_HTTPS_PRIVATE: "true" };
    assert.deepEqual(hostRules(env), { hosts: ["a.example", "*.b.example"], allowPrivate: true });
  });

  it("know private addresses of RFC 6890 in each of their forms", () => {
    const inside = [
      "10.1.2.3",
      "127.0.0.1",
      "169.254.169.254",
      "172.31.0.1",
      "192.168.1.1",
      "100.64.0.1",
      "0.0.0.0",
    ];
    for (const address of [
      ...inside,
      ...inside.map((of) => `::ffff:${of}`),
      "::1",
      "fe80::1",
      "fd00::1",
      "::ffff:a00:1",
    ])
      assert.equal(isPrivateAddress(address), true, address);
    for (const address of ["8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"])
      assert.equal(isPrivateAddress(address), false, address);
  });

  it("name a server and an object's path with its query", () => {
    assert.deepEqual(locateObject("https://host:8443/a%20b/c.jpg?w=1"), {
      root: "https://host:8443",
      key: "a%20b/c.jpg?w=1",
    });
    assert.throws(
      () => locateObject("https://user:secret@host/a.jpg"),
      (thrown: Error) => !thrown.message.includes("secret"),
    );
  });
});
