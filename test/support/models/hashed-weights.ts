/**
 * The numbers of test/golden/zoo/hashed_numbers.py, bit for bit: a hash of (key, position), so that a golden made in
 * Python needs none of its weights beside it.
 */
export function hashedNumbers(key: string, count: number, low: number, high: number): Float32Array {
  const seed = seedOf(key);
  const values = new Float32Array(count);
  for (let position = 0; position < count; position++) {
    let x = (Math.imul(position, 0x9e3779b1) + seed) | 0;
    x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
    x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
    x ^= x >>> 16;
    values[position] = low + (high - low) * ((x >>> 8) / 2 ** 24);
  }
  return values;
}

/** FNV-1a, 32 bits. */
function seedOf(key: string): number {
  return Buffer.from(key, "utf8").reduce((seed, byte) => Math.imul(seed ^ byte, 0x01000193), 0x811c9dc5 | 0);
}

export interface HashedGains {
  readonly kernelGain: number;
  /** For layers named …project_conv. */
  readonly projectGain: number;
}

export interface NamedWeight {
  readonly layer: string;
  readonly name: string;
  readonly shape: readonly number[];
}

export function hashedWeight(weight: NamedWeight, gains: HashedGains): Float32Array {
  const [low, high] = range(weight, gains);
  const count = weight.shape.reduce((product, dim) => product * dim, 1);
  return hashedNumbers(`${weight.layer}/${weight.name}`, count, low, high);
}

function range({ layer, name, shape }: NamedWeight, gains: HashedGains): [number, number] {
  if (name === "gamma") return [0.7, 1.3];
  if (name === "moving_variance") return [0.5, 1.5];
  if (name === "beta" || name === "moving_mean" || name === "bias") return [-0.3, 0.3];
  const gain = layer.endsWith("project_conv") ? gains.projectGain : gains.kernelGain;
  const [height = 1, width = 1, channels = 1] = shape;
  const fanIn = height * width * (name === "depthwise_kernel" ? 1 : channels);
  const bound = Math.sqrt((3 * gain) / fanIn);
  return [-bound, bound];
}
