import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { recipe, ReleaseStack, type FailedImage } from "@trommel/common";
import { ShardTrial } from "#common/jobs/shard-trial";
import { decodeImage } from "#gpu-worker/image/decode/decode-image";
import type { DeviceStageContext } from "#gpu-worker/stages/context";
import { OneByOne } from "#gpu-worker/stages/images/one-by-one";
import { runBatches } from "#gpu-worker/stages/images/run-batches";
import { SourceStores } from "#gpu-worker/stages/images/source-stores";
import { Redis } from "ioredis";
import { crashPreload, marked } from "../../support/process/crash-marks.js";
import { drawTexture } from "../../support/images/dataset.js";
import { descendantsOf } from "../../support/process/processes.js";
import { startRedisServer, type TestRedis } from "../../support/servers/redis-server.js";
import { shardEntries } from "../../support/runs/shard-entries.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { withVariables } from "../../support/process/variables.js";
import { waitUntil } from "../../support/process/wait-until.js";

const folder = await temporaryFolder("one-by-one");
const decode = { ...recipe.parse({ backbones: ["any"] }).decode, side: 16 };
const releases = new ReleaseStack();
let server: TestRedis;
let redis: Redis;
let shards = 0;

before(async () => {
  server = await startRedisServer();
  releases.add("redis-server", () => server.stop());
  redis = new Redis(server.url());
  releases.add("redis", () => redis.disconnect());
  // Only the processes that are started have the preload; this one was started without it.
  releases.add("variables", withVariables(crashPreload));
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

const newTrial = (): ShardTrial =>
  new ShardTrial(redis, { id: "test", attempt: 1, stage: "extract", shard: (shards += 1) });

function contextOf(trial: ShardTrial | undefined, signal = new AbortController().signal): DeviceStageContext {
  const nothing = (): void => undefined;
  return {
    device: { sessionCount: 1 },
    sources: new SourceStores(),
    signal,
    trial,
    onImages: nothing,
  } as unknown as DeviceStageContext;
}

interface Worked {
  readonly failed: FailedImage[];
  /** Pixels by key, of each file that came through. */
  readonly pixels: Map<string, Uint8Array>;
}

/** Takes the files through the loop of a stage. */
async function through(
  files: ReadonlyMap<string, Uint8Array>,
  trial: ShardTrial | undefined,
  signal?: AbortSignal,
): Promise<Worked> {
  const source = join(folder, `shard-${(shards += 1)}`);
  await mkdir(source);
  for (const [key, bytes] of files) await writeFile(join(source, key), bytes);
  const pixels = new Map<string, Uint8Array>();
  const pictureBytes = 16 * 16 * 3;
  const failed = await runBatches({
    entries: await shardEntries(source),
    source,
    decode,
    batchSize: 4,
    context: contextOf(trial, signal),
    run: (batch) => {
      batch.keys.forEach((key, i) =>
        pixels.set(key, batch.pixels.slice(i * pictureBytes, (i + 1) * pictureBytes)),
      );
      return Promise.resolve();
    },
  });
  return { failed, pixels };
}

async function drawn(count: number): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (let i = 0; i < count; i += 1) {
    files.set(`${String(i).padStart(2, "0")}.png`, await drawTexture(i % 3, 3, i));
  }
  return files;
}

describe("a shard whose worker died", () => {
  it("gives the same pixels and rows as one that is decoded together", async () => {
    const files = await drawn(12);
    files.set("05.png", Buffer.from("no picture"));
    const trial = newTrial();
    const oneByOne = await through(files, trial);
    assert.deepEqual(oneByOne, await through(files, undefined));
    assert.equal(oneByOne.pixels.size, 11);
    assert.deepEqual(await trial.state(), { blamed: new Map(), suspects: [], tried: true });
    assert.deepEqual(await descendantsOf(process.pid).then((all) => all.filter(isDecoder)), []);
  });

  it("leaves out the files that kill their process, at either end and in the middle, and those alone", async () => {
    const files = await drawn(6);
    const whole = await through(files, undefined);
    const bad = ["00.png", "03.png", "05.png"];
    for (const [i, key] of bad.entries()) {
      files.set(key, marked(files.get(key) ?? Buffer.alloc(0), i % 2 === 0 ? "abort" : "kill"));
    }
    const { failed, pixels } = await through(files, newTrial());
    assert.deepEqual(
      failed.map(({ position, key, reason }) => [position, key, reason]),
      bad.map((key) => [Number.parseInt(key, 10), key, "crashed-worker"]),
    );
    assert.equal(new Set(failed.map(({ detail }) => detail)).size, 1);
    for (const key of bad) whole.pixels.delete(key);
    assert.deepEqual(pixels, whole.pixels);
  });

  it("leaves out all files of a shard in which all are at fault", async () => {
    const files = await drawn(2);
    for (const [key, bytes] of files) files.set(key, marked(bytes, "kill"));
    const { failed, pixels } = await through(files, newTrial());
    assert.equal(pixels.size, 0);
    assert.deepEqual(
      failed.map(({ reason }) => reason),
      Array.from({ length: 2 }, () => "crashed-worker"),
    );
  });

  it("kills a process that does not answer any more, and says that the file timed out", async () => {
    const trial = newTrial();
    const { signal } = new AbortController();
    const oneByOne = await OneByOne.open(trial, { recipe: decode, signal });
    const picture = await drawTexture(0, 2, 1);
    const how = { alone: false, timeoutMs: 100 };
    const frozen = await oneByOne.decode(3, marked(picture, "freeze"), how);
    assert.ok(!frozen.ok);
    assert.equal(frozen.reason, "timed-out");
    assert.deepEqual((await trial.state()).blamed, new Map([[3, "timed-out"]]));
    // That of a picture that only its decoder hangs at is killed too: its threads are not given another.
    const hanging = await oneByOne.decode(4, marked(picture, "hang"), how);
    assert.ok(!hanging.ok);
    assert.equal(hanging.reason, "timed-out");
    assert.deepEqual(await decoders(), []);
    await oneByOne.stop();
  });

  it("remembers whom it blamed, with the same words, when another worker goes on", async () => {
    const files = await drawn(4);
    files.set("02.png", marked(files.get("02.png") ?? Buffer.alloc(0), "kill"));
    const trial = newTrial();
    const first = await through(files, trial);
    assert.deepEqual(await through(files, trial), first);
    assert.equal(first.failed.length, 1);
  });
});

const isDecoder = ({ args }: { readonly args: readonly string[] }): boolean =>
  args.some((arg) => arg.endsWith("decode-process.js"));

const decoders = async (): Promise<number[]> =>
  (await descendantsOf(process.pid)).filter(isDecoder).map(({ pid }) => pid);

describe("a death that no file is to blame for", () => {
  it("of the decoding process, time after time, by somebody's hand: every file comes through", async () => {
    const files = await drawn(24);
    const trial = newTrial();
    let killed = 0;
    let over = false;
    // Twice in a row at most for any file: each new process is killed as soon as it is seen, two of three times.
    const killer = (async (): Promise<void> => {
      const seen = new Set<number>();
      while (!over) {
        for (const pid of await decoders()) {
          if (seen.has(pid)) continue;
          seen.add(pid);
          if (seen.size % 3 === 0) continue;
          process.kill(pid, "SIGKILL");
          killed += 1;
        }
      }
    })();
    try {
      // On a busy machine the killer may see no process in time.
      while (killed === 0) {
        const { failed, pixels } = await through(files, trial);
        assert.deepEqual(failed, []);
        assert.equal(pixels.size, 24);
      }
    } finally {
      over = true;
      await killer;
    }
  });

  it("of a worker that is told to go while it decodes: nothing is held against the file", async () => {
    const trial = newTrial();
    const files = new Map([["a.png", marked(await drawTexture(0, 2, 1), "hang")]]);
    for (let i = 0; i < 2; i += 1) {
      const going = new AbortController();
      const working = through(files, trial, going.signal);
      await waitUntil("the file is begun", async () => (await trial.state()).suspects.length === 1);
      going.abort(new Error("the worker has to go"));
      await assert.rejects(working, /has to go/);
      await waitUntil("the mark is gone", async () => (await trial.state()).suspects.length === 0);
      assert.deepEqual(await decoders(), []);
    }
    assert.deepEqual((await trial.state()).blamed, new Map());
  });
});

describe("a file that takes the worker along", () => {
  it("is tried alone by the next workers, and blamed by the third of them that dies", async () => {
    const trial = newTrial();
    // What is left of a worker that died with a file among others, and of those that died with it alone.
    await trial.begin(5, false);
    assert.deepEqual((await trial.state()).suspects, [5]);
    for (let deaths = 1; deaths <= 2; deaths += 1) {
      await trial.begin(5, true);
      assert.deepEqual((await trial.state()).suspects, [5], `after ${deaths} alone`);
    }
    await trial.begin(5, true);
    const { blamed, suspects } = await trial.state();
    assert.deepEqual(blamed, new Map([[5, "crashed-worker"]]));
    assert.deepEqual(suspects, []);
  });

  it("is cleared by one try that it lives through, however often a worker died with it before", async () => {
    const files = await drawn(6);
    const trial = newTrial();
    await trial.begin(2, false);
    for (let deaths = 0; deaths < 2; deaths += 1) await trial.begin(2, true);
    await trial.begin(4, false);
    const { failed, pixels } = await through(files, trial);
    assert.deepEqual(failed, []);
    assert.equal(pixels.size, 6);
    assert.deepEqual(await trial.state(), { blamed: new Map(), suspects: [], tried: true });
  });

  it("is counted against no file of another shard that the worker tries too", async () => {
    const picture = await drawTexture(0, 2, 1);
    const how = { alone: true, timeoutMs: 60_000 };
    const [trial, other] = [newTrial(), newTrial()];
    const going = new AbortController();
    const killing = await OneByOne.open(trial, { recipe: decode, signal: going.signal });
    const hanging = killing.decode(0, marked(picture, "hang"), how);
    await waitUntil("the file is begun", async () => (await trial.state()).suspects.length === 1);
    const leaving = new AbortController();
    const left = await OneByOne.open(other, { recipe: decode, signal: leaving.signal });
    const waiting = left.decode(0, picture, how);
    const innocent = await OneByOne.open(other, { recipe: decode, signal: new AbortController().signal });
    const decoded = innocent.decode(1, picture, how);
    await sleep(500);
    assert.deepEqual(await other.state(), { blamed: new Map(), suspects: [], tried: false });
    leaving.abort(new Error("it is cancelled"));
    await assert.rejects(waiting, /is cancelled/);
    going.abort(new Error("the worker has to go"));
    await assert.rejects(hanging, /has to go/);
    assert.ok((await decoded).ok);
    await Promise.all([killing, left, innocent].map((each) => each.stop()));
    assert.deepEqual(await decoders(), []);
  });

  it("is told with the same words as one that killed only its process", async () => {
    const picture = await drawTexture(0, 2, 1);
    const witnessed = await through(new Map([["a.png", marked(picture, "kill")]]), newTrial());
    const trial = newTrial();
    for (let deaths = 0; deaths < 3; deaths += 1) await trial.begin(0, true);
    const unwitnessed = await through(new Map([["a.png", picture]]), trial);
    assert.ok((await decodeImage(picture, decode)).ok);
    assert.deepEqual(unwitnessed, witnessed);
  });
});
