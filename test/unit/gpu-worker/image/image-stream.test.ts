import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { TrommelError, type ShardEntry } from "@trommel/common";
import type { ResolvedDecodeRecipe } from "#gpu-worker/image/decode/decode-image";
import {
  streamImages,
  type ShardImage,
  type ImageBounds,
  type ImageStreamOptions,
} from "#gpu-worker/image/read/image-stream";
import sharp from "sharp";
import { drawTexture } from "../../../support/images/dataset.js";

const decode: ResolvedDecodeRecipe = {
  side: 16,
  fit: "squash",
  kernel: "lanczos3",
  background: [255, 255, 255],
  maxBytes: 1 << 20,
  maxPixels: 1_000_000,
};
const entriesOf = (count: number, sizeBytes = 10): ShardEntry[] =>
  Array.from({ length: count }, (_, i) => ({ key: `a/${i}`, sizeBytes, etag: "e" }));

const answers = (): Promise<void> => Promise.resolve();

const unavailable = (): Promise<never> => Promise.reject(new TrommelError("unavailable", "no answer"));

let png: Buffer;
before(async () => {
  png = await drawTexture(0, 2, 1);
});

async function collect(
  entries: readonly ShardEntry[],
  read: (key: string) => Promise<Uint8Array>,
  options: {
    readonly window?: number;
    readonly signal?: AbortSignal;
    readonly bounds?: ImageBounds;
    readonly probe?: () => Promise<void>;
  } = {},
): Promise<ShardImage[]> {
  const pictures: ShardImage[] = [];
  const { window = 4, signal = new AbortController().signal, probe = answers } = options;
  const bounds: ImageBounds = { pausesMs: [10, 10], ...options.bounds };
  const byKey: ImageStreamOptions["read"] = ({ key }) => read(key);
  for await (const picture of streamImages({ entries, read: byKey, probe, decode, window, signal, bounds }))
    pictures.push(picture);
  return pictures;
}

describe("streamImages", () => {
  it("yields in shard order though later files arrive first", async () => {
    const gates = new Map<string, () => void>();
    const read = (key: string): Promise<Uint8Array> =>
      new Promise((resolve) => {
        gates.set(key, () => resolve(png));
        // The window is full: let the newest go first.
        if (gates.size === 4) for (const open of [...gates.values()].reverse()) open();
      });
    const pictures = await collect(entriesOf(4), read);
    assert.deepEqual(
      pictures.map(({ position, key, ok }) => ({ position, key, ok })),
      [0, 1, 2, 3].map((position) => ({ position, key: `a/${position}`, ok: true })),
    );
    for (const picture of pictures) assert.equal(picture.ok && picture.pixels.length, 16 * 16 * 3);
  });

  it("holds no more files than its window", async () => {
    let started = 0;
    let yielded = 0;
    const read = (): Promise<Uint8Array> => {
      started += 1;
      assert.ok(started - yielded <= 3, `${started} started, ${yielded} yielded`);
      return Promise.resolve(png);
    };
    const { signal } = new AbortController();
    for await (const _ of streamImages({
      entries: entriesOf(20),
      read,
      probe: answers,
      decode,
      window: 3,
      signal,
    })) {
      yielded += 1;
    }
    assert.deepEqual([started, yielded], [20, 20]);
  });

  it("gives a bad file its reason and goes on", async () => {
    const bodies: Record<string, () => Promise<Uint8Array>> = {
      "a/0": () => Promise.resolve(new Uint8Array(0)),
      "a/1": () => Promise.resolve(Buffer.from("no picture at all")),
      "a/2": () => Promise.reject(new TrommelError("not-found", "gone")),
      "a/3": () => Promise.reject(new TrommelError("forbidden", "no")),
      "a/4": () => Promise.reject(new TrommelError("too-large", "grown")),
      "a/5": () => Promise.resolve(png.subarray(0, png.length / 2)),
      "a/6": () => Promise.resolve(png),
      "a/7": () => Promise.reject(new TrommelError("changed", "another one")),
    };
    const pictures = await collect(entriesOf(8), (key) => bodies[key]?.() ?? Promise.reject(new Error(key)));
    assert.deepEqual(
      pictures.map((picture) => (picture.ok ? "ok" : picture.reason)),
      ["empty", "not-an-image", "not-found", "forbidden", "too-large", "truncated", "ok", "changed"],
    );
  });

  it("does not fetch what the listing says is too large", async () => {
    const read = (): Promise<Uint8Array> => Promise.reject(new Error("it was fetched"));
    const [picture] = await collect(entriesOf(1, decode.maxBytes + 1), read);
    assert.equal(picture?.ok === false && picture.reason, "too-large");
  });

  it("throws where the store cannot be reached, after what came before", async () => {
    const seen: number[] = [];
    const gone = new TrommelError("not-found", "no such bucket", { retryable: true });
    const read = ({ key }: ShardEntry): Promise<Uint8Array> =>
      key === "a/2" ? Promise.reject(new TrommelError("unavailable", "no answer")) : Promise.resolve(png);
    const { signal } = new AbortController();
    await assert.rejects(
      async () => {
        for await (const { position } of streamImages({
          entries: entriesOf(6),
          read,
          probe: () => Promise.reject(gone),
          decode,
          window: 6,
          signal,
        }))
          seen.push(position);
      },
      (thrown) => thrown === gone,
    );
    assert.deepEqual(seen, [0, 1]);
  });

  it("reads again what may pass, and leaves no trace of it", async () => {
    const passing = ["unavailable", "timed-out", "corrupt"] as const;
    const tried = new Map<string, number>();
    const read = (key: string): Promise<Uint8Array> => {
      const before = tried.get(key) ?? 0;
      tried.set(key, before + 1);
      const code = passing[before % 3] ?? "unavailable";
      if (before < Number(key.slice(2))) {
        return Promise.reject(new TrommelError(code, "not now", { retryable: true }));
      }
      return key === "a/2" ? Promise.resolve(new Uint8Array(0)) : Promise.resolve(png);
    };
    let probes = 0;
    const probe = (): Promise<void> => {
      probes += 1;
      return Promise.resolve();
    };
    const pictures = await collect(entriesOf(3), read, { probe });
    assert.deepEqual(pictures[2], {
      ...{ position: 2, key: "a/2", ok: false, reason: "empty" },
      ...{ detail: "the file has no bytes", tries: 1 },
    });
    assert.ok(pictures[0]?.ok && pictures[1]?.ok);
    assert.deepEqual([...tried.values(), probes], [1, 2, 3, 3]);
  });

  it("blames one file of a store that answers otherwise, whether it errs or hangs", async () => {
    const failing = { timed: () => new Promise<never>(() => undefined), unreadable: unavailable } as const;
    for (const [name, fail] of Object.entries(failing)) {
      const read = (key: string): Promise<Uint8Array> => (key === "a/1" ? fail() : Promise.resolve(png));
      const pictures = await collect(entriesOf(3), read, { bounds: { readTimeoutMs: 100 } });
      const [first, bad, last] = pictures;
      assert.ok(first?.ok && last?.ok && bad?.ok === false);
      assert.deepEqual([bad.reason, bad.tries], [name === "timed" ? "timed-out" : "unreadable", 3]);
    }
  });

  it("blames the store where it fails for many files, and reads no further", async () => {
    let read = 0;
    const failing = (): Promise<Uint8Array> => {
      read += 1;
      return unavailable();
    };
    await assert.rejects(collect(entriesOf(64), failing), (thrown) => {
      assert.ok(thrown instanceof TrommelError && thrown.code === "unavailable" && thrown.retryable);
      assert.match(thrown.message, /^cannot read 3 of a shard's 64 files/);
      return true;
    });
    assert.ok(read <= 3 * 12, `${read} tries`);
  });

  it("gives up on a picture that is not decoded in time, after two tries", async () => {
    const large = await sharp({ create: { width: 9000, height: 9000, channels: 3, background: "red" } })
      .png()
      .toBuffer();
    let reads = 0;
    const read = (): Promise<Uint8Array> => {
      reads += 1;
      return Promise.resolve(large);
    };
    const pictures: ShardImage[] = [];
    for await (const picture of streamImages({
      entries: entriesOf(1),
      read,
      probe: answers,
      decode: { ...decode, maxBytes: 1 << 24, maxPixels: 100_000_000 },
      window: 1,
      bounds: { decodeTimeoutMs: 1 },
      signal: new AbortController().signal,
    }))
      pictures.push(picture);
    assert.deepEqual(pictures, [
      {
        ...{ position: 0, key: "a/0", ok: false, reason: "timed-out" },
        ...{ detail: "decoding it takes longer than 1 ms", tries: 2 },
      },
    ]);
    assert.equal(reads, 1);
  });

  it("stops at the signal", async () => {
    const controller = new AbortController();
    const read = (key: string): Promise<Uint8Array> => {
      if (key === "a/3") controller.abort(new TrommelError("cancelled", "enough"));
      return Promise.resolve(png);
    };
    await assert.rejects(collect(entriesOf(50), read, { window: 2, signal: controller.signal }), {
      code: "cancelled",
    });
  });
});
