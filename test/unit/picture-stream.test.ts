import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { TrommelError, type ShardEntry } from "@trommel/common";
import type { ResolvedDecodeRecipe } from "@trommel/gpu-worker/image/decode-image";
import { streamPictures, type Picture } from "@trommel/gpu-worker/image/picture-stream";
import { drawTexture } from "../support/dataset.js";

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

let png: Buffer;
before(async () => {
  png = await drawTexture(0, 2, 1);
});

async function collect(
  entries: readonly ShardEntry[],
  read: (key: string) => Promise<Uint8Array>,
  options: { readonly window?: number; readonly signal?: AbortSignal } = {},
): Promise<Picture[]> {
  const pictures: Picture[] = [];
  const { window = 4, signal = new AbortController().signal } = options;
  for await (const picture of streamPictures({ entries, read, decode, window, signal }))
    pictures.push(picture);
  return pictures;
}

describe("streamPictures", () => {
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
    for await (const _ of streamPictures({ entries: entriesOf(20), read, decode, window: 3, signal })) {
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
    };
    const pictures = await collect(entriesOf(7), (key) => bodies[key]?.() ?? Promise.reject(new Error(key)));
    assert.deepEqual(
      pictures.map((picture) => (picture.ok ? "ok" : picture.reason)),
      ["empty", "not-an-image", "not-found", "forbidden", "too-large", "truncated", "ok"],
    );
  });

  it("does not fetch what the listing says is too large", async () => {
    const read = (): Promise<Uint8Array> => Promise.reject(new Error("it was fetched"));
    const [picture] = await collect(entriesOf(1, decode.maxBytes + 1), read);
    assert.equal(picture?.ok === false && picture.reason, "too-large");
  });

  it("throws where the store cannot be reached, after what came before", async () => {
    const seen: number[] = [];
    const read = (key: string): Promise<Uint8Array> =>
      key === "a/2" ? Promise.reject(new TrommelError("unavailable", "no answer")) : Promise.resolve(png);
    const { signal } = new AbortController();
    await assert.rejects(
      async () => {
        for await (const { position } of streamPictures({
          entries: entriesOf(6),
          read,
          decode,
          window: 6,
          signal,
        }))
          seen.push(position);
      },
      { code: "unavailable" },
    );
    assert.deepEqual(seen, [0, 1]);
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
