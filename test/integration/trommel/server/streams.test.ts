import assert from "node:assert/strict";
import { once } from "node:events";
import { rm, truncate, writeFile } from "node:fs/promises";
import { get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { openStore } from "@trommel/common";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { writeScores } from "../../../support/runs/written-scores.js";
import { openDashboard } from "../../../support/servers/dashboard.js";

/** Files that the API sends in pieces. */

const folder = await temporaryFolder("dashboard-streams");
const dashboard = await openDashboard({ store: join(folder, "store") });
const output = join(folder, "a");
const sizeBytes = 192 * 2 ** 20;
const part = (place: number): string => join(output, `part-0000${place}.jsonl`);

before(async () => {
  const rows = Array.from({ length: 40 }, (_, i) => ({ key: `${i}.png`, probabilities: [0.25, 0.75] }));
  const common = { classes: ["cat", "dog"], source: "file:///nowhere", rows };
  await writeScores({ ...common, location: output, name: "a" }, openStore(join(folder, "store")));
  // Large, and of no size on the disk.
  await truncate(part(0), sizeBytes);
  await truncate(part(1), sizeBytes);
});

async function ask(place: number): Promise<IncomingMessage> {
  const path = `/api/v1/runs/score-a/score-file?place=${place}`;
  const request = get(`${dashboard.url}${path}`);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  assert.equal(response.statusCode, 200);
  assert.equal(Number(response.headers["content-length"]), sizeBytes);
  return response;
}

describe("a file of a run", () => {
  it("comes whole, and the process does not grow by its size", async () => {
    const before = process.memoryUsage.rss();
    let most = before;
    let bytes = 0;
    for await (const chunk of await ask(0)) {
      bytes += (chunk as Buffer).length;
      most = Math.max(most, process.memoryUsage.rss());
    }
    assert.equal(bytes, sizeBytes);
    // The server and this reader are one process.
    assert.ok(most - before < sizeBytes / 2, `grew by ${most - before} bytes`);
  });

  it("that vanishes midway ends as broken, and not as whole", async () => {
    const response = await ask(1);
    const [first] = (await once(response, "data")) as [Buffer];
    response.pause();
    await rm(part(1));
    let bytes = first.length;
    await assert.rejects(
      async () => {
        for await (const chunk of response) bytes += (chunk as Buffer).length;
      },
      { code: "ECONNRESET" },
    );
    assert.ok(bytes < sizeBytes, `${bytes} bytes came`);
    assert.equal((await dashboard.get("/api/v1/runs/score-a/score-file?place=1")).status, 404);
  });

  it("is left alone once its reader has left", async () => {
    await writeFile(part(1), "");
    await truncate(part(1), sizeBytes);
    const response = await ask(1);
    await once(response, "data");
    response.destroy();
    assert.equal((await dashboard.get("/healthz")).status, 200);
  });

  it("is one text with the others, which a part that vanishes breaks", async () => {
    const response = await fetch(`${dashboard.url}/api/v1/runs/score-a/scores`);
    assert.equal(response.status, 200);
    const reader = response.body?.getReader();
    await reader?.read();
    await rm(join(output, "part-00002.jsonl"));
    await assert.rejects(async () => {
      while ((await reader?.read())?.done === false);
    });
  });
});
