import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ShardEntry } from "@trommel/common";
import { recipe } from "@trommel/common";
import { KeptImages } from "#gpu-worker/image/read/kept-images";
import type { ImageStreamOptions, ShardImage } from "#gpu-worker/image/read/image-stream";

const side = 2;
const imageBytes = side * side * 3;
const entries: readonly ShardEntry[] = [3, 1, 4, 1.5, 9].map((value) => ({
  key: `${value}.png`,
  sizeBytes: 10,
  etag: `e${value}`,
}));

/** Reads what it is asked for, in order, and notes the keys; `4.png` cannot be decoded. */
class Reader {
  readonly keys: string[] = [];

  readonly stream = async function* (this: Reader, options: ImageStreamOptions): AsyncGenerator<ShardImage> {
    for (const [position, { key }] of options.entries.entries()) {
      if (options.skip?.has(position) === true) continue;
      await Promise.resolve();
      this.keys.push(key);
      if (key === "4.png")
        yield { position, key, ok: false, reason: "truncated", detail: "cut off", tries: 1 };
      else
        yield {
          position,
          key,
          ok: true,
          pixels: new Uint8Array(imageBytes).fill(Number.parseFloat(key) * 2),
        };
    }
  }.bind(this);
}

function asked(changed: Partial<ImageStreamOptions> = {}): ImageStreamOptions {
  return {
    entries,
    decode: { ...recipe.parse({ backbones: ["net"] }).decode, side },
    ...changed,
  } as ImageStreamOptions;
}

async function take(
  kept: KeptImages,
  reader: Reader,
  options = asked(),
  source = "file:///pictures",
): Promise<string[]> {
  const seen: string[] = [];
  for await (const image of kept.through(reader.stream, source, options))
    seen.push(`${image.position} ${image.key} ${image.ok ? image.pixels.join() : image.reason}`);
  return seen;
}

/** Each image is grey of twice its name's number. */
const expected = [6, 2, undefined, 3, 18].map(
  (grey, position) =>
    `${position} ${entries[position]?.key} ${grey === undefined ? "truncated" : Array(imageBytes).fill(grey).join()}`,
);

describe("decoded images that are kept", () => {
  it("come in their places, and are read once", async () => {
    const [kept, reader] = [new KeptImages(1000), new Reader()];
    assert.deepEqual(await take(kept, reader), expected);
    assert.deepEqual(await take(kept, reader), expected);
    assert.deepEqual(
      reader.keys,
      [...entries.map(({ key }) => key), "4.png"],
      "what cannot be decoded is tried again",
    );
  });

  it("are those of entries, not of positions", async () => {
    const [kept, reader] = [new KeptImages(1000), new Reader()];
    await take(kept, reader);
    const turned = asked({ entries: [...entries].reverse(), skip: new Set([2, 3]) });
    assert.deepEqual(
      (await take(kept, reader, turned)).map((line) => line.slice(0, 9)),
      ["0 9.png 1", "1 1.5.png", "4 3.png 6"],
    );
    assert.equal(reader.keys.length, entries.length);
  });

  it("are as many as there is room for; the others are read again", async () => {
    const [kept, reader] = [new KeptImages(2 * imageBytes + 1), new Reader()];
    assert.deepEqual(await take(kept, reader), expected);
    assert.deepEqual(await take(kept, reader), expected);
    assert.deepEqual(reader.keys.slice(entries.length), ["4.png", "1.5.png", "9.png"]);
  });

  it("are of one version, one source and one way to decode", async () => {
    const again = entries.map((entry) => ({ ...entry, etag: "another" }));
    const changes: [ImageStreamOptions, string?][] = [
      [asked({ entries: again })],
      [asked(), "file:///others"],
      [asked({ decode: { ...asked().decode, side: 1 } })],
    ];
    for (const [options, source] of changes) {
      const [kept, reader] = [new KeptImages(1000), new Reader()];
      await take(kept, reader);
      await take(kept, reader, options, source);
      assert.equal(reader.keys.length, 2 * entries.length);
    }
  });

  it("end their reading with the reader's error, or as soon as nobody asks for more", async () => {
    const kept = new KeptImages(1000);
    const gone = new Error("the store is gone");
    // eslint-disable-next-line require-yield
    const broken = async function* (): AsyncGenerator<ShardImage> {
      await Promise.resolve();
      throw gone;
    };
    await assert.rejects(kept.through(broken, "file:///pictures", asked()).next(), gone);
    let closed = false;
    const reader = new Reader();
    const closing = async function* (options: ImageStreamOptions): AsyncGenerator<ShardImage> {
      try {
        yield* reader.stream(options);
      } finally {
        closed = true;
      }
    };
    for await (const _ of kept.through(closing, "file:///pictures", asked())) break;
    assert.ok(closed);
    assert.ok(reader.keys.length < entries.length);
  });
});
