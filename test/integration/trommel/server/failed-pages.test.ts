import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { openStore } from "@trommel/common";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { writeScores } from "../../../support/runs/written-scores.js";
import { openDashboard } from "../../../support/servers/dashboard.js";

/** Failed images of scorings that have more of them than the server keeps. */

const folder = await temporaryFolder("failed-pages");
const dashboard = await openDashboard({ store: join(folder, "store") });
const names = ["a", "b", "c", "d"];
const count = 30_000;
const keyOf = (i: number): string => `${String(i).padStart(5, "0")}-${"k".repeat(500)}.png`;
const reasonOf = (i: number): string => (i % 3 === 0 ? "empty" : "truncated");
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

interface Page {
  readonly images: readonly { readonly key: string; readonly reason: string }[];
  readonly sums: { readonly failed: number };
  readonly next: number | null;
}

async function pageOf(query: string, name = "a"): Promise<Page> {
  const { status, body, text } = await dashboard.get(`/api/v1/runs/score-${name}/failed?${query}`);
  assert.equal(status, 200, text);
  return body as unknown as Page;
}

before(async () => {
  const store = openStore(join(folder, "store"));
  const failed = Array.from({ length: count }, (_, i) => keyOf(i));
  const lines = failed.map((key, i) =>
    JSON.stringify({ key, reason: reasonOf(i), detail: "it is no image", tries: 1, shard: 0 }),
  );
  for (const name of names) {
    const location = join(folder, name);
    await writeScores(
      { ...{ classes: ["cat", "dog"], source: "file:///nowhere", rows: [], failed }, location, name },
      store,
    );
    await writeFile(join(location, "errors.jsonl"), `${lines.join("\n")}\n`);
  }
});

describe("failed images of large scorings", { timeout: 120_000 }, () => {
  it("are not kept in memory, whichever are asked for", async () => {
    collect();
    const before = process.memoryUsage().heapUsed;
    for (const name of names)
      for (const after of [0, 20_000])
        assert.equal((await pageOf(`after=${after}`, name)).images.length, 100);
    collect();
    const grown = process.memoryUsage().heapUsed - before;
    // All of them are 60 MB of keys alone.
    assert.ok(grown < 30e6, `grew by ${grown} bytes`);
  });

  it("are the same in pages as in the file, at its beginning, where the server keeps no more, and at its end", async () => {
    for (const after of [0, 7900, 12_345, count - 1000, count - 10, count + 5]) {
      const { images, next, sums } = await pageOf(`limit=1000&after=${after}`);
      const end = Math.min(count, after + 1000);
      const expected = Array.from({ length: Math.max(0, end - after) }, (_, i) => keyOf(after + i));
      assert.deepEqual(
        images.map(({ key }) => key),
        expected,
      );
      assert.equal(next, end < count ? end : null);
      assert.equal(sums.failed, count);
    }
  });

  it("are counted by their reason in pages of a reason", async () => {
    const empty = Array.from({ length: count }, (_, i) => i).filter((i) => reasonOf(i) === "empty");
    for (const after of [0, 6000, empty.length - 7]) {
      const { images, next } = await pageOf(`reason=empty&limit=50&after=${after}`);
      assert.deepEqual(
        images.map(({ key }) => key),
        empty.slice(after, after + 50).map(keyOf),
      );
      assert.equal(next, after + 50 < empty.length ? after + 50 : null);
    }
    assert.deepEqual((await pageOf("reason=archived")).images, []);
  });

  it("are found for a picture by their keys, and what did not fail is not", async () => {
    const thumbnail = (key: string) => dashboard.get(`/api/v1/runs/score-a/thumbnail?key=${key}`);
    // It is looked for at its source, which does not exist.
    assert.match((await thumbnail(keyOf(count - 1))).text, /nowhere/);
    assert.match((await thumbnail("other.png")).text, /names no failed or mistaken image/);
  });

  it("are refused where the file is not what the ledger counts", async () => {
    await writeFile(join(folder, "b/errors.jsonl"), "");
    const other = await openDashboard({ store: join(folder, "store") });
    const { status, text } = await other.get("/api/v1/runs/score-b/failed");
    assert.equal(status, 500);
    assert.match(text, /it has 0 lines, and ledger\.json counts 30000 failed/);
  });
});
