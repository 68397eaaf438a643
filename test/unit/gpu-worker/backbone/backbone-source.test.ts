import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { openBackboneSource } from "#gpu-worker/backbone/download/backbone-source";

const content = Buffer.from('{"model": "of a kind"}');
const weights = Buffer.from("weights");
const sha256 = createHash("sha256").update(content).digest("hex");
const bound = 1000;

const refused = (code: string, pattern: RegExp) => (thrown: unknown) => {
  assert.ok(thrown instanceof TrommelError);
  assert.equal(thrown.code, code);
  assert.match(thrown.message, pattern);
  return true;
};

describe("openBackboneSource", () => {
  let folder: string;
  let server: Server;
  let base: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "trommel-source-"));
    await writeFile(join(folder, "model.json"), content);
    await writeFile(join(folder, "weights.bin"), weights);
    server = createServer((request, response) => {
      const path = request.url ?? "";
      if (path === "/m/model.json?key=s3cret") response.end(content);
      else if (path === "/m/weights.bin?key=s3cret") response.end(weights);
      else if (path === "/m/endless") {
        // No length is stated: only counting finds the end.
        const write = (): void => {
          if (!response.destroyed && response.write(Buffer.alloc(512))) setImmediate(write);
        };
        response.on("drain", write);
        write();
      } else if (path === "/m/silent") return;
      else if (path === "/m/away") response.writeHead(302, { location: "http://192.0.2.1/model.json" }).end();
      else response.writeHead(path === "/m/down" ? 503 : path === "/m/closed" ? 403 : 404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/m`;
  });
  after(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });

  it("reads a file and its neighbours, and checks the hash of the named one", async () => {
    const source = openBackboneSource(join(folder, "model.json"), { sha256 });
    assert.deepEqual(Buffer.from(await source.read(undefined, bound)), content);
    assert.deepEqual(Buffer.from(await source.read("weights.bin", bound)), weights);
    const wrong = openBackboneSource(join(folder, "model.json"), { sha256: sha256.replace(/./g, "0") });
    await assert.rejects(wrong.read(undefined, bound), refused("corrupt", new RegExp(sha256)));
    await assert.rejects(source.read(undefined, 3), refused("too-large", /3 bytes/));
    await assert.rejects(
      openBackboneSource(join(folder, "none")).read(undefined, bound),
      refused("not-found", /none/),
    );
    await assert.rejects(
      openBackboneSource(folder).read(undefined, bound),
      refused("invalid-argument", /folder/),
    );
  });

  it("downloads a file and its neighbours, and keeps secrets out of the address", async () => {
    const source = openBackboneSource(`${base}/model.json?key=s3cret`, { sha256 });
    assert.equal(source.url, `${base}/model.json`);
    assert.deepEqual(Buffer.from(await source.read(undefined, bound)), content);
    assert.deepEqual(Buffer.from(await source.read("weights.bin", bound)), weights);
  });

  it("names what the server answers, and stops at the bounds of size and time", async () => {
    const read = (path: string, timeoutMs = 10_000) =>
      openBackboneSource(`${base}/${path}`, { sha256, timeoutMs }).read(undefined, bound);
    await assert.rejects(read("none"), refused("not-found", /404/));
    await assert.rejects(read("closed"), refused("forbidden", /403/));
    await assert.rejects(read("down"), refused("unavailable", /503/));
    await assert.rejects(read("endless"), refused("too-large", /1000 bytes/));
    await assert.rejects(read("silent", 50), refused("timed-out", /50 ms/));
    const wrong = openBackboneSource(`${base}/model.json?key=s3cret`, { sha256: "0".repeat(64) });
    await assert.rejects(wrong.read(undefined, bound), refused("corrupt", new RegExp(sha256)));
  });

  it("refuses downloads without a hash, plain http, redirects to it, and other schemes", async () => {
    assert.throws(() => openBackboneSource(`${base}/model.json`), refused("invalid-argument", /--sha256/));
    assert.throws(
      () => openBackboneSource("http://example.org/m", { sha256 }),
      refused("invalid-argument", /https/),
    );
    assert.throws(() => openBackboneSource("ftp://example.org/m"), refused("invalid-argument", /ftp/));
    assert.throws(() => openBackboneSource("m", { sha256: "abc" }), refused("invalid-argument", /abc/));
    const away = openBackboneSource(`${base}/away`, { sha256, timeoutMs: 2000 });
    await assert.rejects(away.read(undefined, bound), refused("invalid-argument", /https/));
  });

  it("reads s3:// through the store that it is given", async () => {
    const asked: unknown[] = [];
    const source = openBackboneSource("s3://bucket/models/a/model.json", {
      readStored: (folderUrl, key, maxBytes) => {
        asked.push([folderUrl, key, maxBytes]);
        return Promise.resolve(content);
      },
    });
    await source.read(undefined, bound);
    await source.read("w/1.bin", bound);
    assert.deepEqual(asked, [
      ["s3://bucket/models/a", "model.json", bound],
      ["s3://bucket/models/a", "w/1.bin", bound],
    ]);
  });
});
