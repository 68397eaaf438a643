/** Ascending tokens, and the number that each leads to. */
interface SortedArray {
  readonly tokens: Uint32Array;
  readonly numbers: Uint32Array;
}

/**
 * From 32-bit tokens to numbers, at eight bytes an entry; a token may lead to several. Sorted arrays, merged as a
 * log-structured tree merges them: each is more than twice as long as the next, so a look-up searches few
 * (docs/decisions/2026-11-28-reuse-index.md).
 */
export class TokenIndex {
  readonly #arrays: SortedArray[] = [];

  add(tokens: Uint32Array, number: number): void {
    if (tokens.length === 0) return;
    let array: SortedArray = {
      tokens: tokens.slice().sort(),
      numbers: new Uint32Array(tokens.length).fill(number),
    };
    for (let last = this.#arrays.at(-1); last !== undefined; last = this.#arrays.at(-1)) {
      if (last.tokens.length > 2 * array.tokens.length) break;
      this.#arrays.pop();
      array = merged(last, array);
    }
    this.#arrays.push(array);
  }

  /** In the order in which they were added. */
  find(token: number): number[] {
    const found: number[] = [];
    for (const { tokens, numbers } of this.#arrays) {
      for (let at = firstNotBelow(tokens, token); tokens[at] === token; at += 1)
        found.push(numbers[at] as number);
    }
    return found;
  }
}

function firstNotBelow(tokens: Uint32Array, token: number): number {
  let low = 0;
  let high = tokens.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (tokens[middle]! < token) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Equal tokens of the older array come first. */
function merged(older: SortedArray, newer: SortedArray): SortedArray {
  const { tokens: left, numbers: leftNumbers } = older;
  const { tokens: right, numbers: rightNumbers } = newer;
  const length = left.length + right.length;
  const tokens = new Uint32Array(length);
  const numbers = new Uint32Array(length);
  let l = 0;
  let r = 0;
  for (let at = 0; at < length; at += 1) {
    if (r === right.length || (l < left.length && (left[l] as number) <= (right[r] as number))) {
      tokens[at] = left[l] as number;
      numbers[at] = leftNumbers[l] as number;
      l += 1;
    } else {
      tokens[at] = right[r] as number;
      numbers[at] = rightNumbers[r] as number;
      r += 1;
    }
  }
  return { tokens, numbers };
}
