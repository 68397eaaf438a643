import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { FaultProxy, type PassedRequest } from "../../chaos/faults/fault-proxy.js";
import type { RequestFault } from "../../chaos/faults/fault-schedule.js";

const picture = Buffer.alloc(10_000, 7);

describe("the proxy that spoils requests", () => {
  let server: Server;
  let proxy: FaultProxy;
  const written: Buffer[] = [];
  const passed: PassedRequest[] = [];

  before(async () => {
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        if (request.method === "PUT") written.push(Buffer.concat(chunks));
        response.writeHead(200, { etag: '"abc"', "content-length": String(picture.length) });
        response.end(picture);
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    proxy = await FaultProxy.start(`http://127.0.0.1:${port}`, (request) => passed.push(request));
  });

  after(async () => {
    await proxy.stop();
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  });

  /** What every request meets from now on, and nothing else. */
  function always(...kinds: RequestFault[]): () => void {
    written.length = 0;
    passed.length = 0;
    return proxy.spoil(1, 5, kinds);
  }

  const get = (): Promise<Response> => fetch(`${proxy.endpoint}/bucket/a%20b?x=1`);
  const put = (): Promise<Response> => fetch(`${proxy.endpoint}/bucket/c`, { method: "PUT", body: "bytes" });

  it("passes requests and answers as they are", async () => {
    always("reset-before")();
    const answer = await get();
    assert.equal(answer.headers.get("etag"), '"abc"');
    assert.ok(Buffer.from(await answer.arrayBuffer()).equals(picture));
    await (await put()).arrayBuffer();
    assert.equal(written.join(), "bytes");
    assert.deepEqual(passed, [
      { method: "GET", path: "/bucket/a b", status: 200 },
      { method: "PUT", path: "/bucket/c", status: 200 },
    ]);
  });

  it("ends no other spell of faults than the one that it was told to end", async () => {
    const end = always("reset-before");
    const endNext = always("refuse-503");
    end();
    assert.equal((await put()).status, 503);
    endNext();
    assert.equal((await put()).status, 200);
  });

  it("refuses, and the server hears nothing", async () => {
    for (const [kind, status] of [
      ["refuse-500", 500],
      ["refuse-503", 503],
    ] as const) {
      always(kind);
      const answer = await put();
      assert.equal(answer.status, status);
      assert.match(await answer.text(), status === 503 ? /SlowDown/ : /InternalError/);
      assert.deepEqual(written, []);
    }
  });

  it("resets before the server hears of it, or after", async () => {
    always("reset-before");
    await assert.rejects(put());
    assert.deepEqual(written, []);
    always("reset-after");
    await assert.rejects(put());
    assert.equal(written.join(), "bytes");
  });

  it("lets the server do it and says that it failed", async () => {
    always("forget-answer");
    assert.equal((await put()).status, 500);
    assert.equal(written.join(), "bytes");
  });

  it("cuts an object's body short", async () => {
    always("cut");
    await assert.rejects((await get()).arrayBuffer());
  });

  it("changes one bit of an object's body, and no listing", async () => {
    always("flip");
    const bytes = Buffer.from(await (await get()).arrayBuffer());
    const changed = [...bytes].filter((byte, place) => byte !== picture[place]);
    assert.equal(changed.length, 1);
    assert.equal([...((changed[0] ?? 0) ^ 7).toString(2)].filter((bit) => bit === "1").length, 1);
    const listing = await fetch(`${proxy.endpoint}/bucket?list-type=2`);
    assert.ok(Buffer.from(await listing.arrayBuffer()).equals(picture));
  });

  it("spoils about the share that it was told, the same requests for the same seed", async () => {
    const statuses = async (): Promise<string> => {
      proxy.spoil(0.3, 11, ["refuse-503"]);
      const seen: number[] = [];
      for (let i = 0; i < 200; i += 1) {
        const answer = await get();
        await answer.arrayBuffer();
        seen.push(answer.status);
      }
      return seen.join();
    };
    const first = await statuses();
    const refused = first.split(",").filter((status) => status === "503").length;
    // Binomial(200, 0.3): mean 60, deviation 6.5.
    assert.ok(refused > 30 && refused < 90, `${refused} of 200`);
    assert.equal(await statuses(), first);
  });
});
