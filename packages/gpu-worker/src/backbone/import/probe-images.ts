import { SeededRandom, seedFrom, type Normalization } from "@trommel/common";

/**
 * Seeded images for checks: noise in blocks of 16 pixels plus finer noise, normalised for the network.
 * @returns float32 [count, 3, size, size]
 */
export function probeImages(
  count: number,
  size: number,
  normalization: Normalization,
  seed: string,
): Float32Array {
  const random = new SeededRandom(seedFrom(seed));
  const blocks = Math.ceil(size / 16);
  const images = new Float32Array(count * 3 * size * size);
  let position = 0;
  for (let plane = 0; plane < count * 3; plane++) {
    const channel = plane % 3;
    const coarse = Float32Array.from({ length: blocks * blocks }, () => random.unit() * 191);
    const mean = normalization.mean[channel] ?? 0;
    const deviation = normalization.deviation[channel] ?? 1;
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const block = coarse[(y >> 4) * blocks + (x >> 4)] ?? 0;
        images[position++] = (Math.floor(block + random.unit() * 64) - mean) / deviation;
      }
    }
  }
  return images;
}
