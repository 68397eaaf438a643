import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { ReleaseStack } from "@trommel/common";
import { fileHashes, filesBelow } from "../../../support/files/file-hashes.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import {
  jsonInProcess,
  onlyJsonObject,
  RunningCli,
  runInProcess,
  trommelJson,
} from "../../../support/process/cli.js";
import { descendantsOf } from "../../../support/process/processes.js";
import { waitUntil } from "../../../support/process/wait-until.js";
import { scoreFiles, sortedPlace, type ScoredFiles } from "../../../support/runs/scored-files.js";
import { startRedisServer } from "../../../support/servers/redis-server.js";

interface Sorted {
  readonly id: string;
  readonly kind: string;
  readonly phase: string;
  readonly placed?: number;
  readonly removed?: number;
}

/** 16 a part. */
const keys = Array.from({ length: 320 }, (_, i) => `day ${i % 7}/${String(i).padStart(3, "0")}.jpg`).sort();
const parts = keys.length / 16;
const folder = await temporaryFolder("sorting");
const releases = new ReleaseStack();
after(async () => {
  assert.deepEqual(await releases.releaseAll(), []);
});

/** A bound for a machine that does much else. */
const timeoutMs = 180_000;

/** Every place of a sorted file. */
const places = keys.map(sortedPlace).sort();

async function scored(name: string): Promise<ScoredFiles & { readonly into: string; readonly root: string }> {
  const root = join(folder, name);
  return { ...(await scoreFiles(root, "sorted", keys)), root, into: join(root, "sorted") };
}

function sortArgs({ storeFolder, into, config }: Awaited<ReturnType<typeof scored>>, ...more: string[]) {
  return ["sort", config.id, "--store", storeFolder, "--into", into, ...more];
}

/** What lies below `_trommel/sorts/<id>/`, without the place of this test and the id, which comes from it. */
async function outcomeOf(root: string, into: string): Promise<Map<string, string>> {
  const [id = "", ...others] = await readdir(join(into, "_trommel/sorts"));
  assert.deepEqual(others, []);
  const files = await fileHashes(join(into, "_trommel/sorts", id));
  const ledger = await readFile(join(into, "_trommel/sorts", id, "ledger.json"), "utf8");
  return files.set("ledger.json", ledger.replaceAll(root, "").replaceAll(id, ""));
}

async function isSorted(into: string): Promise<void> {
  assert.deepEqual(
    (await filesBelow(into)).filter((name) => !name.startsWith("_trommel/")),
    places,
  );
  for (const [number, key] of keys.entries())
    assert.equal(await readFile(join(into, sortedPlace(key, number)), "utf8"), key);
}

describe("trommel sort --move", () => {
  it("comes to the same ledger where command, Redis and workers are killed in the middle", async () => {
    const undisturbed = await scored("undisturbed");
    const first = (await trommelJson(sortArgs(undisturbed, "--move", "--workers", "1"), {
      timeoutMs,
    })) as Sorted;
    assert.deepEqual(
      [first.kind, first.phase, first.placed, first.removed],
      ["sorting", "complete", keys.length, keys.length],
    );
    const killed = await scored("killed");
    const cli = new RunningCli(sortArgs(killed, "--move", "--workers", "2", "--json"));
    const done = async (): Promise<number> =>
      (await filesBelow(killed.into)).filter((name) => name.includes("/parts/")).length;
    await waitUntil("a part is sorted", async () => (await done()) > 0, timeoutMs);
    const processes = await descendantsOf(cli.pid);
    cli.kill("SIGKILL");
    for (const { pid } of processes) process.kill(pid, "SIGKILL");
    await cli.end();
    const before = await done();
    assert.ok(before < parts, `${before} of ${parts} parts were sorted: this is not in the middle`);
    const again = (await trommelJson(sortArgs(killed, "--move", "--workers", "2"), { timeoutMs })) as Sorted;
    assert.deepEqual([again.placed, again.removed], [keys.length, keys.length]);
    await isSorted(killed.into);
    assert.deepEqual(await filesBelow(killed.source), []);
    assert.deepEqual(
      await outcomeOf(killed.root, killed.into),
      await outcomeOf(undisturbed.root, undisturbed.into),
    );
  });
});

describe("trommel sort with a cluster", () => {
  it("is left, cancelled, continued by its id and listed as other work is", async () => {
    const redis = await startRedisServer();
    releases.add("redis", () => redis.stop());
    const work = await scored("cluster");
    const where = ["--store", work.storeFolder, "--redis", redis.url()];
    const args = sortArgs(work, "--redis", redis.url());
    const queued = (await jsonInProcess([...args, "--no-follow"])) as Sorted;
    assert.deepEqual([queued.kind, queued.phase], ["sorting", "running"]);
    const [, , ...more] = args;
    const byOutput = ["sort", join(work.root, "scores"), ...more, "--no-follow"];
    assert.equal(((await jsonInProcess(byOutput)) as Sorted).id, queued.id);
    await jsonInProcess(["cancel", queued.id, ...where]);
    const cancelled = (await jsonInProcess(["status", queued.id, ...where])) as Sorted;
    assert.equal(cancelled.phase, "cancelled");
    const coordinator = new RunningCli(["coordinator", ...where]);
    releases.add("coordinator", () => coordinator.stop());
    const worker = new RunningCli(["worker", ...where]);
    releases.add("worker", () => worker.stop());
    const { stdout } = await runInProcess(["resume", queued.id, ...where, "--follow", "--json"]);
    const resumed = onlyJsonObject(stdout) as Sorted;
    assert.deepEqual([resumed.phase, resumed.placed, resumed.removed], ["complete", keys.length, 0]);
    await isSorted(work.into);
    const listed = await runInProcess(["status", ...where]);
    assert.match(listed.stdout, new RegExp(`${queued.id} \\(sorting\\) +complete +${keys.length} in place`));
    const again = await runInProcess([...args, "--follow"]);
    assert.match(again.stdout, /is complete already, and nothing was sorted again/);
    const errors = await runInProcess(["errors", queued.id, ...where]);
    assert.match(errors.stderr, /it is a sorting\. Read .*unplaced\.jsonl/);
    const removed = await runInProcess(["store", "remove", queued.id, ...where, "--yes"]);
    assert.match(removed.stdout, /its pictures and its ledger stay/);
    await isSorted(work.into);
  });
});
