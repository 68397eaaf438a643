import { hash } from "node:crypto";
import type { Shard } from "./listing.js";

/**
 * Which keys of a source were listed before, by 64 bits of each: 11 to 22 bytes a key, whatever its length.
 * Two keys may have the same bits, so that code that meets a repeated hash compares the keys themselves: see {@link findRepeated}.
 */
export class KeyHashes {
  /** Open addressing: [high, low] of each; both zero where nothing is. */
  #slots = new Uint32Array(2 * 1024);
  #count = 0;

  /** @returns the key's hash if a key with the same one was added before */
  add(key: string): string | undefined {
    const { high, low, text } = hashOf(key);
    if (insert(this.#slots, high, low)) {
      this.#count += 1;
      if (this.#count * 8 > this.#slots.length * 3) this.#grow();
      return undefined;
    }
    return text;
  }

  #grow(): void {
    const grown = new Uint32Array(2 * this.#slots.length);
    for (let at = 0; at < this.#slots.length; at += 2) {
      const [high = 0, low = 0] = [this.#slots[at], this.#slots[at + 1]];
      if (high !== 0 || low !== 0) insert(grown, high, low);
    }
    this.#slots = grown;
  }
}

/** The hash by which {@link KeyHashes.add} names a key. */
export function keyHash(key: string): string {
  return hashOf(key).text;
}

/**
 * Compares the keys whose hashes were met twice.
 * @param shards all of a listing's, in order
 * @returns the first key that is listed again and the shard that does it; undefined if only hashes are equal
 */
export async function findRepeated(
  hashes: ReadonlySet<string>,
  shards: AsyncIterable<Shard>,
): Promise<{ readonly key: string; readonly shard: Shard } | undefined> {
  const seen = new Set<string>();
  for await (const shard of shards) {
    if (shard.supersedes !== undefined) continue;
    for (const { key } of [...shard.entries, ...shard.skipped]) {
      if (!hashes.has(keyHash(key))) continue;
      if (seen.has(key)) return { key, shard };
      seen.add(key);
    }
  }
  return undefined;
}

function hashOf(key: string): { readonly high: number; readonly low: number; readonly text: string } {
  const text = hash("sha1", key, "hex").slice(0, 16);
  const high = Number.parseInt(text.slice(0, 8), 16);
  const low = Number.parseInt(text.slice(8), 16);
  return high === 0 && low === 0 ? { high: 0, low: 1, text } : { high, low, text };
}

/** @returns false if it is there already */
function insert(slots: Uint32Array, high: number, low: number): boolean {
  const mask = slots.length / 2 - 1;
  for (let slot = low & mask; ; slot = (slot + 1) & mask) {
    const [here, beside] = [slots[2 * slot], slots[2 * slot + 1]];
    if (here === high && beside === low) return false;
    if (here !== 0 || beside !== 0) continue;
    slots[2 * slot] = high;
    slots[2 * slot + 1] = low;
    return true;
  }
}
