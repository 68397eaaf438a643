import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ReleaseStack, SeededRandom, type FailedImage } from "@trommel/common";
import { Redis } from "ioredis";
import { crashPreload, marked } from "../../support/process/crash-marks.js";
import { drawTexture } from "../../support/images/dataset.js";
import { startRedisServer, type TestRedis } from "../../support/servers/redis-server.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";

/** Whole workers die here, with the process that decodes: nobody is left to say what happened but the trial in Redis. */

const folder = await temporaryFolder("worker-death");
const entry = fileURLToPath(new URL("../../support/runs/try-shard.js", import.meta.url));
const releases = new ReleaseStack();
let server: TestRedis;
let redis: Redis;

before(async () => {
  server = await startRedisServer();
  releases.add("redis-server", () => server.stop());
  redis = new Redis(server.url());
  releases.add("redis", () => redis.disconnect());
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

/** One worker at the shard. @returns what failed in it, or undefined where the worker died */
async function tryShard(source: string, killAfterMs?: number): Promise<FailedImage[] | undefined> {
  const child = spawn(process.execPath, [entry, server.url(), source], {
    env: { ...process.env, ...crashPreload },
    stdio: ["ignore", "pipe", "ignore"],
  });
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  const ended = once(child, "close");
  if (killAfterMs !== undefined) {
    await Promise.race([sleep(killAfterMs), ended]);
    child.kill("SIGKILL");
  }
  await ended;
  return stdout === "" ? undefined : (JSON.parse(stdout) as FailedImage[]);
}

async function shardOf(name: string, files: ReadonlyMap<number, Buffer>): Promise<string> {
  await redis.flushall();
  const source = join(folder, name);
  await mkdir(source);
  for (const [position, bytes] of files) {
    await writeFile(join(source, `${String(position).padStart(2, "0")}.png`), bytes);
  }
  return source;
}

async function drawn(count: number): Promise<Map<number, Buffer>> {
  const files = new Map<number, Buffer>();
  for (let i = 0; i < count; i += 1) files.set(i, await drawTexture(i % 3, 3, i));
  return files;
}

describe("a shard whose workers die with all their processes", () => {
  it("loses the file that they die of, after one death among others and three alone", async () => {
    const files = await drawn(4);
    files.set(3, marked(await drawTexture(0, 3, 3), "killAll"));
    const source = await shardOf("deadly", files);
    let deaths = 0;
    let failed = await tryShard(source);
    for (; failed === undefined; failed = await tryShard(source)) {
      deaths += 1;
      assert.ok(deaths <= 4, "it goes on for ever");
    }
    assert.equal(deaths, 4);
    assert.deepEqual(
      failed.map(({ position, reason }) => [position, reason]),
      [[3, "crashed-worker"]],
    );
  });

  it("loses no file where they are killed from outside, at any moment", async () => {
    const source = await shardOf("outside", await drawn(16));
    const random = new SeededRandom(5);
    for (let deaths = 0; deaths < 3; deaths += 1) await tryShard(source, random.uniform(200, 1200));
    assert.deepEqual(await tryShard(source), []);
  });
});
