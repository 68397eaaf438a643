/**
 * A process of its own that streams one file many times over, as two shards at once, and prints the growth of its largest
 * resident set. Arguments: file, pictures, MiB of pixels in flight or `unbounded`.
 */
import { readFile } from "node:fs/promises";
import { createImageBudgets } from "#gpu-worker/image/budgets/image-budgets";
import { decodeImage, type ResolvedDecodeRecipe } from "#gpu-worker/image/decode/decode-image";
import { streamImages } from "#gpu-worker/image/read/image-stream";
import sharp from "sharp";

const [file = "", count = "", mib = ""] = process.argv.slice(2);
const decode: ResolvedDecodeRecipe = {
  side: 64,
  fit: "squash",
  kernel: "lanczos3",
  background: [255, 255, 255],
  maxBytes: 1 << 26,
  maxPixels: 100_000_000,
};

async function peakKib(): Promise<number> {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(await readFile("/proc/self/status", "utf8"))?.[1]);
}

const bytes = await readFile(file);
// What the first picture loads once is not what pictures take.
const small = { width: 64, height: 64, channels: 3, background: "red" } as const;
await decodeImage(await sharp({ create: small }).jpeg({ progressive: true }).toBuffer(), decode);
const before = await peakKib();
const budgets =
  mib === "unbounded"
    ? undefined
    : createImageBudgets({ bytesInFlightMib: 64, pixelsInFlightMib: Number(mib) });
const shards = [0, 1].map(async () => {
  let decoded = 0;
  const entries = Array.from({ length: Number(count) / 2 }, (_, i) => ({
    key: `${i}`,
    sizeBytes: bytes.length,
    etag: "e",
  }));
  for await (const picture of streamImages({
    entries,
    read: () => Promise.resolve(bytes),
    probe: () => Promise.resolve(),
    decode,
    window: 16,
    ...(budgets === undefined ? {} : { budgets }),
    signal: new AbortController().signal,
  })) {
    if (picture.ok) decoded += 1;
  }
  return decoded;
});
const [first = 0, second = 0] = await Promise.all(shards);
const grownMib = ((await peakKib()) - before) / 1024;
process.stdout.write(JSON.stringify({ decoded: first + second, grownMib }));
