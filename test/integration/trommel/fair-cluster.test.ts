import assert from "node:assert/strict";
import { cp, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ReleaseStack } from "@trommel/common";
import { Redis } from "ioredis";
import { drawDataset, writeFiles } from "../../support/images/dataset.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { jsonInProcess, RunningCli, runInProcess, trommel } from "../../support/process/cli.js";
import { waitUntil } from "../../support/process/wait-until.js";
import { startRedisServer, type TestRedis } from "../../support/servers/redis-server.js";

/** A coordinator and a worker as processes of their own, and scorings next to each other, with a model of an earlier day. */

const folder = await temporaryFolder("fair-cluster");
const releases = new ReleaseStack();
const images = join(folder, "images");
const store = join(folder, "store");
const kept = fileURLToPath(new URL("../../../stores/2026-11-28/bucket/store", import.meta.url));
let redis: TestRedis;
let client: Redis;
let cluster: string[];

before(async () => {
  await cp(kept, store, { recursive: true });
  await writeFiles(images, await drawDataset(["a", "b"], { to: 6 }));
  redis = await startRedisServer();
  releases.add("redis", () => redis.stop());
  client = new Redis(redis.url());
  releases.add("client", () => client.disconnect());
  cluster = ["--redis", redis.url(), "--store", store];
  const coordinator = new RunningCli(["coordinator", ...cluster]);
  releases.add("coordinator", () => coordinator.stop());
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

/** Queues a scoring of shards of one image, and leaves it. @returns its id */
async function submit(output: string, ...flags: string[]): Promise<string> {
  const args = ["score", images, "--model", "first", "--output", join(folder, output), "--shard-size", "1"];
  const { id } = (await jsonInProcess([...args, ...cluster, "--no-follow", ...flags])) as { id: string };
  return id;
}

function startWorker(...flags: string[]): RunningCli {
  const worker = new RunningCli(["worker", ...cluster, "--threads", "1", ...flags]);
  releases.add("worker", () => worker.stop());
  return worker;
}

async function waiting(jobs: number): Promise<void> {
  await waitUntil(
    `${jobs} jobs wait`,
    async () => (await client.zcard("trommel:score:prioritized")) === jobs,
  );
}

async function phaseOf(id: string): Promise<string> {
  return ((await jsonInProcess(["status", id, ...cluster])) as { phase: string }).phase;
}

async function completed(id: string): Promise<void> {
  await waitUntil(`${id} is complete`, async () => (await phaseOf(id)) === "complete", 60_000);
}

/** The runs of the shards that a worker has scored, in order. */
function scored(worker: RunningCli): string[] {
  return worker.stderr
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as { stage?: string; run?: string; msg?: string })
    .filter(({ stage, msg }) => stage === "score" && msg === "done")
    .map(({ run = "" }) => run);
}

async function parts(output: string): Promise<Map<string, string>> {
  const names = (await readdir(join(folder, output))).filter((name) => /^part-.*\.jsonl$/.test(name)).sort();
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, await readFile(join(folder, output, name), "utf8")] as const),
    ),
  );
}

describe("scorings that share a cluster", () => {
  let worker: RunningCli;
  let large = "";

  it("take turns, so that a small one begins with the first shard and ends long before a large one", async () => {
    large = await submit("large");
    await waiting(12);
    const small = await submit("small", "--limit", "3");
    await waiting(15);
    worker = startWorker("--concurrency", "1");
    await completed(small);
    await completed(large);
    const order = scored(worker);
    assert.deepEqual(
      order.slice(0, 6).map((id) => (id === small ? "small" : "large")),
      ["large", "small", "large", "small", "large", "small"],
    );
    assert.equal(order.length, 15);
  });

  it("are paused and continued, with another priority, and write the same bytes", async () => {
    await worker.stop();
    const id = await submit("paused", "--priority", "low");
    await waiting(12);
    const paused = await runInProcess(["pause", id, ...cluster]);
    assert.equal(paused.code, 0, paused.stderr);
    assert.equal(await phaseOf(id), "paused");
    const again = startWorker("--concurrency", "2");
    await waiting(0);
    await waitUntil("no job is under way", async () => (await client.llen("trommel:score:active")) === 0);
    assert.deepEqual(scored(again), []);
    assert.deepEqual(await parts("paused"), new Map());
    const continued = await runInProcess(["unpause", id, ...cluster, "--no-follow", "--priority", "high"]);
    assert.equal(continued.code, 0, continued.stderr);
    await completed(id);
    assert.equal((await parts("paused")).size, 12);
    assert.deepEqual(await parts("paused"), await parts("large"));
    const [first, second, ...more] = await readdir(join(store, `scorings/${id}/steering`));
    assert.deepEqual([first, second, more], ["00000.json", "00001.json", []]);
    const steering = JSON.parse(
      await readFile(join(store, `scorings/${id}/steering/00001.json`), "utf8"),
    ) as object;
    assert.deepEqual(steering, { formatVersion: 1, id, priority: "high", jobsAtMost: null });
    const refused = await runInProcess(["unpause", id, ...cluster, "--no-follow"]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /cannot unpause .*: it is complete, and not paused$/m);
    const late = await runInProcess(["steer", id, ...cluster, "--priority", "low"]);
    assert.equal(late.code, 1);
    assert.match(late.stderr, /cannot steer .*: it is complete, and queues nothing more/);
    worker = again;
  });

  it("are the same scoring with another priority or limit, and have no more jobs under way than they may", async () => {
    await worker.stop();
    const id = await submit("limited", "--jobs-at-most", "1");
    assert.equal(await submit("limited", "--priority", "high"), id);
    await waiting(12);
    const wide = startWorker("--concurrency", "4", "--metrics", "127.0.0.1:0");
    await wide.says("metrics at http");
    const [, url = ""] = /metrics at (http:\S+metrics)/.exec(wide.stderr) ?? [];
    let most = 0;
    await waitUntil("it is complete", async () => {
      const text = await (await fetch(url)).text();
      most = Math.max(most, Number(/^trommel_jobs_under_way{stage="score"} (\d+)$/m.exec(text)?.[1] ?? 0));
      assert.doesNotMatch(text, /outcome="(?:failed|retried)"/);
      return (await phaseOf(id)) === "complete";
    });
    assert.equal(most, 1);
    assert.deepEqual(await parts("limited"), await parts("large"));
    const nothing = await runInProcess(["steer", id, ...cluster]);
    assert.equal(nothing.code, 2);
    assert.match(nothing.stderr, /neither a priority nor a limit of jobs is given/);
  });

  it("do not see those of another namespace, whose name is checked", async () => {
    const members = async (namespace: string): Promise<string> =>
      (await trommel(["workers", ...cluster], { env: { TROMMEL_NAMESPACE: namespace } })).stdout;
    assert.match(await members("blue"), /nobody serves/);
    assert.match(await members(""), /coordinator/);
    const { code, stderr } = await trommel(["workers", ...cluster], {
      env: { TROMMEL_NAMESPACE: "not legal" },
    });
    assert.equal(code, 2);
    assert.match(stderr, /cannot use the namespace 'not legal'/);
    const foreign = await trommel(["status", large, ...cluster, "--json"], {
      env: { TROMMEL_NAMESPACE: "blue" },
    });
    assert.match(foreign.stdout, /"phase":"complete"/);
    assert.deepEqual(await client.keys("trommel-blue:*"), []);
  });

  it("say to who follows that nobody serves", async () => {
    const output = join(folder, "alone");
    const args = ["score", images, "--model", "first", "--output", output, "--follow", ...cluster];
    const following = new RunningCli(args, { env: { TROMMEL_NAMESPACE: "alone" } });
    releases.add("following", () => following.stop());
    await following.says(
      "waiting: no coordinator and no worker serves its Redis. Start 'trommel coordinator'",
    );
  });
});
