import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { deflateSync } from "node:zlib";
import { SeededRandom, seedFrom } from "@trommel/common";
import sharp from "sharp";
import { pngChunk, pngSignature } from "./png.js";

/**
 * Classes whose order differs by bytes, by locale (apple, Äpfel, ﬁsch, Zebra, 中文) and by UTF-16 units (😀 before ﬁsch).
 * In UTF-8 byte order.
 */
export const trickyLabels = ["Zebra", "apple", "Äpfel", "中文", "ﬁsch", "😀"] as const;

const size = { width: 72, height: 54 } as const;

/** One small PNG in its class's hue, striped and grained by the seed. */
export async function drawTexture(classIndex: number, classCount: number, seed: number): Promise<Buffer> {
  const random = new SeededRandom(seed);
  const hue = (classIndex / classCount) * 2 * Math.PI + random.uniform(-0.1, 0.1);
  const base = [0, 1, 2].map((channel) => 128 + 90 * Math.cos(hue - (channel * 2 * Math.PI) / 3));
  const angle = random.uniform(0, Math.PI);
  const frequency = random.uniform(0.2, 0.6);
  const pixels = Buffer.alloc(size.width * size.height * 3);
  for (let i = 0; i < pixels.length; i += 1) {
    const place = Math.floor(i / 3);
    const along = (place % size.width) * Math.cos(angle) + Math.floor(place / size.width) * Math.sin(angle);
    const value = (base[i % 3] ?? 0) + 24 * Math.sin(along * frequency) + random.uniform(-20, 20);
    pixels[i] = Math.min(255, Math.max(0, Math.round(value)));
  }
  return sharp(pixels, { raw: { ...size, channels: 3 } })
    .png()
    .toBuffer();
}

/** A labelled picture by its key in the dataset. */
export type Pictures = Map<string, Buffer>;

/** `<label>/<nnn>.png` for each label, `from` up to `to`. */
export async function drawDataset(
  labels: readonly string[],
  range: { readonly from?: number; readonly to: number },
  seed = 1,
): Promise<Pictures> {
  const pictures: Pictures = new Map();
  for (const [index, label] of labels.entries()) {
    for (let number = range.from ?? 0; number < range.to; number += 1) {
      const key = `${label}/${String(number).padStart(3, "0")}.png`;
      pictures.set(key, await drawTexture(index, labels.length, seedFrom(seed, index, number)));
    }
  }
  return pictures;
}

/** Pictures of every class under names that do not tell it. */
export async function drawUnlabelled(
  labels: readonly string[],
  count: number,
  seed: number,
): Promise<{ files: Pictures; truth: Map<string, string> }> {
  const files: Pictures = new Map();
  const truth = new Map<string, string>();
  for (let number = 0; number < count; number += 1) {
    const index = number % labels.length;
    const key = `in/${String(number).padStart(4, "0")}.png`;
    files.set(key, await drawTexture(index, labels.length, seedFrom(seed, "unlabelled", number)));
    truth.set(key, labels[index] ?? "");
  }
  return { files, truth };
}

export async function writeFiles(
  folder: string,
  files: ReadonlyMap<string, Uint8Array | string>,
): Promise<void> {
  for (const [key, bytes] of files) {
    await mkdir(dirname(join(folder, key)), { recursive: true });
    await writeFile(join(folder, key), bytes);
  }
}

/** Files that are no pictures, by name, each with the reason that a ledger must give it. */
export async function badFiles(): Promise<Map<string, { bytes: Buffer; reason: string }>> {
  const jpeg = await sharp(await drawTexture(0, 2, 9))
    .jpeg()
    .toBuffer();
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>';
  return new Map([
    ["bad-empty.jpg", { bytes: Buffer.alloc(0), reason: "empty" }],
    ["bad-half.jpg", { bytes: jpeg.subarray(0, jpeg.length / 2), reason: "truncated" }],
    ["bad-text.jpg", { bytes: Buffer.from("apples, batteries, a newspaper\n"), reason: "not-an-image" }],
    ["bad-vector.svg", { bytes: Buffer.from(svg), reason: "unsupported-format" }],
    ["bad-huge.png", { bytes: pngClaiming(60_000, 60_000), reason: "too-many-pixels" }],
  ]);
}

/** A PNG whose header claims that size and whose data is short. */
function pngClaiming(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    pngSignature,
    pngChunk("IHDR", header),
    pngChunk("IDAT", deflateSync(Buffer.alloc(1 << 10))),
    pngChunk("IEND", Buffer.alloc(0)),
  ]);
}
