import { sha256Latin1 } from "./canonical-json.js";

/**
 * Texts by 64 bits of their sha256, numbered in the order in which they come: 13 to 19 bytes each, whatever their length.
 * That one text passes for another, of ten million a chance of 10^-12 for each new one, is taken to be as good as never.
 */
export class EntryTable {
  /** Open addressing: the number of a text and 1; 0 where none is. */
  #slots: Uint32Array;
  /** Two words for each number; zeros for one that is not found. */
  #hashes: Uint32Array;
  #count = 0;

  /** @param expected how many there will be; more may come */
  constructor(expected = 0) {
    this.#slots = new Uint32Array(slotsFor(expected));
    this.#hashes = new Uint32Array(2 * Math.max(expected, leastSlots / 2));
  }

  get count(): number {
    return this.#count;
  }

  /** Takes the next text. @returns false if it was added before: the first of them is found */
  add(text: string): boolean {
    const [high, low] = hashOf(text);
    const slot = this.#slotOf(high, low);
    const isNew = this.#slots[slot] === 0;
    this.pass();
    if (!isNew) return false;
    this.#hashes[2 * this.#count - 2] = high;
    this.#hashes[2 * this.#count - 1] = low;
    this.#slots[slot] = this.#count;
    if (this.#count * 4 > this.#slots.length * 3) this.#grow();
    return true;
  }

  /** Takes the next number for a text that must not be found. */
  pass(): void {
    this.#count += 1;
    if (2 * this.#count > this.#hashes.length) this.#hashes = lengthened(this.#hashes);
  }

  /** @returns the text's number; undefined if it was not added */
  find(text: string): number | undefined {
    const [high, low] = hashOf(text);
    const found = this.#slots[this.#slotOf(high, low)] ?? 0;
    return found > 0 ? found - 1 : undefined;
  }

  #slotOf(high: number, low: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const number = (this.#slots[slot] ?? 0) - 1;
      if (number < 0) return slot;
      if (this.#hashes[2 * number] === high && this.#hashes[2 * number + 1] === low) return slot;
    }
  }

  #grow(): void {
    this.#slots = new Uint32Array(2 * this.#slots.length);
    for (let number = 0; number < this.#count; number += 1) {
      const [high = 0, low = 0] = [this.#hashes[2 * number], this.#hashes[2 * number + 1]];
      if (high !== 0 || low !== 0) this.#slots[this.#slotOf(high, low)] = number + 1;
    }
  }
}

const leastSlots = 1024;

/** A power of two, of which at most three quarters are taken. */
function slotsFor(count: number): number {
  let slots = leastSlots;
  while (slots * 3 < count * 4) slots *= 2;
  return slots;
}

function lengthened(words: Uint32Array): Uint32Array {
  const longer = new Uint32Array(words.length + (words.length >> 1) + 2);
  longer.set(words);
  return longer;
}

function hashOf(text: string): readonly [number, number] {
  const hash = sha256Latin1(text);
  return [wordAt(hash, 0), wordAt(hash, 4)];
}

function wordAt(bytes: string, at: number): number {
  return (
    ((bytes.charCodeAt(at) << 24) |
      (bytes.charCodeAt(at + 1) << 16) |
      (bytes.charCodeAt(at + 2) << 8) |
      bytes.charCodeAt(at + 3)) >>>
    0
  );
}
