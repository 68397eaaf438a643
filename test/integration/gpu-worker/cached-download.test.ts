import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, readdir, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { cachedDownload } from "#gpu-worker/backbone/download/cached-download";
import { cutAfter, sendRange, serveFiles, type FileServer } from "../../support/servers/file-server.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";

const folder = await temporaryFolder("download");
const whole = Buffer.from(
  Uint8Array.from({ length: 300_000 }, (_, index) => (index * 31 + (index >> 8)) & 0xff),
);
const sha256 = createHash("sha256").update(whole).digest("hex");

interface Attempt {
  readonly server: FileServer;
  readonly cacheFolder: string;
  readonly lines: string[];
  readonly progress: string[];
  readonly read: (overrides?: {
    readonly sha256?: string;
    readonly maxBytes?: number;
  }) => Promise<Uint8Array>;
}

async function withServer(
  answer: (request: IncomingMessage, response: ServerResponse, count: number) => void,
  use: (attempt: Attempt) => Promise<void>,
): Promise<void> {
  const server = await serveFiles(answer);
  const cacheFolder = await mkdtemp(join(folder, "cache-"));
  const lines: string[] = [];
  const progress: string[] = [];
  const read: Attempt["read"] = ({ sha256: expected = sha256, maxBytes = 1_000_000 } = {}) =>
    cachedDownload({
      url: `${server.url}/weights.h5?key=s3cret`,
      sha256: expected,
      cacheFolder,
      log: (line) => lines.push(line),
      progress: (line) => progress.push(line),
      timings: { firstDelayMs: 1, idleTimeoutMs: 300 },
    }).read(undefined, maxBytes);
  try {
    await use({ server, cacheFolder, lines, progress, read });
  } finally {
    await server.close();
  }
}

const refused = (code: string, pattern: RegExp) => (thrown: unknown) => {
  assert.ok(thrown instanceof TrommelError);
  assert.equal(thrown.code, code, thrown.message);
  assert.match(thrown.message, pattern);
  assert.doesNotMatch(thrown.message, /s3cret/);
  return true;
};

describe("cachedDownload", () => {
  it("downloads once, keeps the file under its hash, and verifies it again", async () => {
    await withServer(
      (request, response) => sendRange(request, response, whole),
      async ({ server, cacheFolder, progress, lines, read }) => {
        assert.deepEqual(Buffer.from(await read()), whole);
        assert.match(progress.at(-1) ?? "", /weights\.h5: 0\.3 of 0\.3 MiB/);
        assert.deepEqual(await readdir(cacheFolder), [sha256]);
        assert.deepEqual(Buffer.from(await read()), whole);
        assert.equal(server.asked.length, 1);
        await writeFile(join(cacheFolder, sha256), "something else");
        assert.deepEqual(Buffer.from(await read()), whole);
        assert.equal(server.asked.length, 2);
        assert.match(lines.join("\n"), /has another hash by now/);
      },
    );
  });

  it("continues where a connection was cut", async () => {
    await withServer(
      (request, response, count) =>
        count === 1 ? cutAfter(response, whole, 100_000) : sendRange(request, response, whole),
      async ({ server, read }) => {
        assert.deepEqual(Buffer.from(await read()), whole);
        assert.deepEqual(
          server.asked.map(({ range }) => range),
          [undefined, "bytes=100000-"],
        );
      },
    );
  });

  it("continues what an earlier process left, and begins anew where the file has changed since", async () => {
    let served: Buffer = Buffer.from(whole);
    let down = true;
    await withServer(
      (request, response, count) => {
        if (count === 1) cutAfter(response, served, 50_000);
        else if (down) response.writeHead(503).end();
        else sendRange(request, response, served);
      },
      async ({ server, cacheFolder, read }) => {
        await assert.rejects(read(), refused("unavailable", /503/));
        assert.equal((await readFile(join(cacheFolder, `${sha256}.partial`))).byteLength, 50_000);
        down = false;
        const before = server.asked.length;
        assert.deepEqual(Buffer.from(await read()), whole);
        assert.deepEqual(
          server.asked.slice(before).map(({ range }) => range),
          ["bytes=50000-"],
        );
      },
    );
    await withServer(
      (request, response, count) => {
        if (count === 1) cutAfter(response, served, 50_000);
        else sendRange(request, response, served);
        // The part that was sent belonged to another file than the one that is there now.
        if (count === 1) served = Buffer.from(whole);
      },
      async ({ read }) => {
        served = Buffer.alloc(whole.byteLength, 9);
        assert.deepEqual(Buffer.from(await read()), whole);
      },
    );
  });

  it("begins anew where the server knows no ranges, or none like the one that is asked for", async () => {
    await withServer(
      (_, response, count) => (count === 1 ? cutAfter(response, whole, 70_000) : response.end(whole)),
      async ({ read }) => assert.deepEqual(Buffer.from(await read()), whole),
    );
    await withServer(
      (_, response, count) => {
        if (count === 1) cutAfter(response, whole, 70_000);
        else if (count === 2) response.writeHead(206, { "content-range": "bytes 5-9/10" }).end("other");
        else response.end(whole);
      },
      async ({ read }) => assert.deepEqual(Buffer.from(await read()), whole),
    );
  });

  it("deletes what has another hash, and names both", async () => {
    const expected = "0".repeat(64);
    await withServer(
      (request, response) => sendRange(request, response, whole),
      async ({ cacheFolder, read }) => {
        const both = new RegExp(`${sha256}.*${expected}`);
        await assert.rejects(read({ sha256: expected }), refused("corrupt", both));
        assert.deepEqual(await readdir(cacheFolder), []);
      },
    );
  });

  it("stops at its bound, whether the server states the length or not, and keeps nothing", async () => {
    await withServer(
      (_, response) => response.end(whole),
      async ({ cacheFolder, read }) => {
        await assert.rejects(read({ maxBytes: 1000 }), refused("too-large", /1000 bytes/));
        assert.deepEqual(await readdir(cacheFolder), []);
      },
    );
    await withServer(
      (_, response) => {
        const write = (): void => {
          if (!response.destroyed && response.write(Buffer.alloc(5000))) setImmediate(write);
        };
        response.on("drain", write);
        write();
      },
      async ({ cacheFolder, read }) => {
        await assert.rejects(read({ maxBytes: 100_000 }), refused("too-large", /100000 bytes/));
        assert.deepEqual(await readdir(cacheFolder), []);
      },
    );
  });

  it("does not take more bytes than were promised for the file", async () => {
    await withServer(
      (_, response) => {
        const head = `HTTP/1.1 200 OK\r\ncontent-length: ${whole.byteLength}\r\n\r\n`;
        response.socket?.end(Buffer.concat([Buffer.from(head), whole, whole]));
      },
      async ({ cacheFolder, read }) => {
        // What follows the promised length is no part of the answer; whether it spoils the connection is the client's choice.
        const result = await read().then(
          (bytes) => Buffer.from(bytes),
          (thrown: unknown) => thrown,
        );
        if (Buffer.isBuffer(result)) assert.deepEqual(result, whole);
        else assert.ok(refused("unavailable", /weights\.h5/)(result));
        assert.ok((await readdir(cacheFolder)).every((name) => name.startsWith(sha256)));
      },
    );
  });

  it("gives up on a silent server, on 404 at once, and on a server that stays down after some attempts", async () => {
    await withServer(
      () => undefined,
      async ({ read, server, lines }) => {
        await assert.rejects(read(), refused("timed-out", /no byte for 300 ms/));
        assert.equal(server.asked.length, 4);
        assert.equal(lines.length, 3);
      },
    );
    await withServer(
      (_, response) => response.writeHead(404).end(),
      async ({ read, server }) => {
        await assert.rejects(read(), refused("not-found", /404/));
        assert.equal(server.asked.length, 1);
      },
    );
  });

  it("refuses plain http, and redirects to it", async () => {
    const options = { sha256, cacheFolder: folder, log: () => undefined, progress: () => undefined };
    assert.throws(
      () => cachedDownload({ ...options, url: "http://192.0.2.1/w.h5" }),
      refused("invalid-argument", /https/),
    );
    await withServer(
      (_, response) => response.writeHead(302, { location: "http://192.0.2.1/w.h5" }).end(),
      async ({ read }) => assert.rejects(read(), refused("invalid-argument", /https/)),
    );
  });
});
