import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  openStore,
  recipe,
  TrommelError,
  type FailedImage,
  type ObjectStore,
  type ShardEntry,
} from "@trommel/common";
import type { DeviceStageContext } from "#gpu-worker/stages/context";
import { runBatches } from "#gpu-worker/stages/images/run-batches";
import type { ImageBatch } from "#gpu-worker/stages/images/image-batches";
import { SourceStores } from "#gpu-worker/stages/images/source-stores";
import sharp from "sharp";
import { temporaryFolder } from "../../../../support/files/temp-folder.js";

const folder = await temporaryFolder("run-batches");
const side = 16;
const decode = { ...recipe.parse({ backbones: ["any"] }).decode, side };

/** Only what the loop itself asks of a context: there is no device, for no batch of these reaches one. */
function contextOf(sessionCount: number): DeviceStageContext {
  const nothing = (): void => undefined;
  return {
    device: { sessionCount },
    sources: new SourceStores(),
    signal: new AbortController().signal,
    onImages: nothing,
    onNote: nothing,
    onUnits: nothing,
  } as unknown as DeviceStageContext;
}

async function through(
  source: string,
  keys: readonly string[],
  run: (batch: ImageBatch) => Promise<void> = () => Promise.resolve(),
): Promise<FailedImage[]> {
  const store = openStore(source);
  const entries = await Promise.all(
    keys.map(async (key) => (await store.head(key)) ?? { key, sizeBytes: 1, etag: "any" }),
  );
  return runBatches({ entries, source, decode, batchSize: 2, context: contextOf(2), run });
}

describe("the batch loop", () => {
  it("makes a row of a file that has gone from a folder that stands", async () => {
    const source = join(folder, "stands");
    await mkdir(source);
    await writeFile(join(source, "kept.txt"), "no picture");
    const failed = await through(source, ["gone.jpg", "kept.txt"]);
    assert.deepEqual(
      failed.map(({ position, key, reason }) => ({ position, key, reason })),
      [
        { position: 0, key: "gone.jpg", reason: "not-found" },
        { position: 1, key: "kept.txt", reason: "not-an-image" },
      ],
    );
  });

  it("makes a row of a file that was replaced after it was listed", async () => {
    const source = join(folder, "replaced");
    await mkdir(source);
    await writeFile(join(source, "a.txt"), "one");
    await writeFile(join(source, "b.txt"), "one");
    const entries: ShardEntry[] = [];
    for await (const info of openStore(source).list("")) entries.push(info);
    await writeFile(join(source, "b.txt"), "other");
    const failed = await runBatches({
      ...{ entries, source, decode, batchSize: 2, context: contextOf(1) },
      run: () => Promise.resolve(),
    });
    assert.deepEqual(
      failed.map(({ key, reason, tries }) => ({ key, reason, tries })),
      [
        { key: "a.txt", reason: "not-an-image", tries: 1 },
        { key: "b.txt", reason: "changed", tries: 1 },
      ],
    );
  });

  it("commits nothing of a folder that is not there: another worker may have it", async () => {
    await assert.rejects(through(join(folder, "not-mounted"), ["a.jpg"]), (thrown) => {
      assert.ok(thrown instanceof TrommelError);
      assert.equal(thrown.code, "not-found");
      assert.equal(thrown.retryable, true);
      return true;
    });
  });

  /** What a store of one answer for each key does with a shard of all its keys. */
  async function refusing(answers: Readonly<Record<string, string | Uint8Array>>): Promise<FailedImage[]> {
    const keys = Object.keys(answers);
    const store = {
      url: "s3://bucket/pictures",
      // eslint-disable-next-line @typescript-eslint/require-await
      list: async function* () {
        for (const key of keys) yield { key, sizeBytes: 1, etag: "any" };
      },
      get: (key: string) => {
        const answer = answers[key] ?? "NoSuchKey";
        if (typeof answer !== "string") return Promise.resolve(answer);
        const code = answer === "NoSuchKey" ? "not-found" : "forbidden";
        return Promise.reject(new TrommelError(code, answer, { context: { s3Error: answer, status: 403 } }));
      },
      close: () => undefined,
    } as unknown as ObjectStore;
    return runBatches({
      entries: keys.map((key) => ({ key, sizeBytes: 1, etag: "any" })),
      ...{ source: store.url, decode, batchSize: 2, run: () => Promise.resolve() },
      context: { ...contextOf(1), sources: new SourceStores(() => store) },
    });
  }

  it("commits no shard of a store that gives nothing, whatever else is wrong with some of its images", async () => {
    for (const answers of [
      { a: "AccessDenied", b: "AccessDenied" },
      { a: "InvalidObjectState", b: "AccessDenied", c: "AccessDenied" },
      { a: "NoSuchKey", b: "InvalidObjectState", c: "AccessDenied" },
      { a: "AccessDenied", b: "NoSuchKey" },
    ])
      await assert.rejects(refusing(answers), (thrown) => {
        assert.ok(thrown instanceof TrommelError);
        assert.deepEqual([thrown.code, thrown.retryable], ["forbidden", true]);
        assert.match(
          thrown.message,
          /lists its objects and gives none of those that were tried: AccessDenied/,
        );
        return true;
      });
  });

  it("commits a shard of a store that gives one image, or has put all in an archive", async () => {
    const reasonsOf = async (answers: Readonly<Record<string, string | Uint8Array>>) =>
      (await refusing(answers)).map(({ reason }) => reason);
    assert.deepEqual(
      await reasonsOf({ a: "AccessDenied", b: "InvalidObjectState", c: Buffer.from("no picture") }),
      ["forbidden", "archived", "not-an-image"],
    );
    assert.deepEqual(await reasonsOf({ a: "InvalidObjectState", b: "InvalidObjectState" }), [
      "archived",
      "archived",
    ]);
  });

  it("packs in shard order around failures, and waits for what is under way before it throws", async () => {
    const source = join(folder, "pictures");
    await mkdir(source);
    const keys = ["a.png", "bad.png", "b.png", "c.png"];
    for (const key of keys) {
      const picture = sharp({ create: { width: 4, height: 4, channels: 3, background: "#102030" } }).png();
      await writeFile(join(source, key), key === "bad.png" ? "bad" : await picture.toBuffer());
    }
    const batches: (readonly number[])[] = [];
    const failed = await through(source, keys, ({ positions }) => {
      batches.push(positions);
      return Promise.resolve();
    });
    assert.deepEqual(batches, [[0, 2], [3]]);
    assert.deepEqual(
      failed.map(({ position }) => position),
      [1],
    );
    let ended = 0;
    const failing = through(source, keys, async ({ positions }) => {
      if (positions.length === 1) throw new TrommelError("unavailable", "the device went away");
      await new Promise((resolve) => setImmediate(resolve));
      ended += 1;
    });
    await assert.rejects(failing, /went away/);
    assert.equal(ended, 1);
    await rm(source, { recursive: true });
  });
});
