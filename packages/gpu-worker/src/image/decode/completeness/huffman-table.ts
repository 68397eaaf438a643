/** Bits of the longest code (ITU-T T.81, C.2). */
export const longestCode = 16;

/** For each 16 bits the length of the code that they begin with, in the upper byte, and its symbol; 0 if no code fits. */
export type HuffmanTable = Uint16Array;

/** The codes that a file announces. A table is built once a scan uses it: a file may have a million that none does. */
export class HuffmanCodes {
  readonly #counts: Uint8Array;
  readonly #symbols: Uint8Array;
  #table: HuffmanTable | undefined;

  /**
   * @param counts how many codes have 1, 2, … 16 bits
   * @param symbols in the order of their codes
   */
  constructor(counts: Uint8Array, symbols: Uint8Array) {
    this.#counts = counts;
    this.#symbols = symbols;
  }

  /** Undefined if there are more codes than bits can tell apart. */
  get table(): HuffmanTable | undefined {
    return (this.#table ??= huffmanTable(this.#counts, this.#symbols));
  }
}

function huffmanTable(counts: Uint8Array, symbols: Uint8Array): HuffmanTable | undefined {
  const table = new Uint16Array(1 << longestCode);
  let code = 0;
  let next = 0;
  for (let length = 1; length <= longestCode; length += 1) {
    const width = 1 << (longestCode - length);
    for (let i = 0; i < (counts[length - 1] ?? 0); i += 1) {
      if (code + width > table.length) return undefined;
      table.fill((length << 8) | (symbols[next] ?? 0), code, code + width);
      code += width;
      next += 1;
    }
  }
  return table;
}

/** The tables of ITU-T T.81, K.3.3, which the frames of a Motion JPEG use without saying so: counts, then symbols. */
const standard = {
  dc: [
    "00010501010101010100000000000000000102030405060708090a0b",
    "00030101010101010101010000000000000102030405060708090a0b",
  ],
  ac: [
    "0002010303020403050504040000017d01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa",
    "00020102040403040705040400010277000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa",
  ],
};

function standardTables(codes: readonly string[]): (HuffmanCodes | undefined)[] {
  return codes.map((hex) => {
    const bytes = Buffer.from(hex, "hex");
    return new HuffmanCodes(bytes.subarray(0, longestCode), bytes.subarray(longestCode));
  });
}

export interface HuffmanTables {
  readonly dc: (HuffmanCodes | undefined)[];
  readonly ac: (HuffmanCodes | undefined)[];
}

export function standardHuffmanTables(): HuffmanTables {
  return { dc: standardTables(standard.dc), ac: standardTables(standard.ac) };
}
