import type { HuffmanCodes, HuffmanTable, HuffmanTables } from "./huffman-table.js";
import type { JpegBits } from "./jpeg-bits.js";
import type { JpegComponent, JpegFrame, JpegScan } from "./jpeg-frame.js";
import { PictureFault } from "./picture-fault.js";

/** Which coefficients of a progressive picture are not zero, 64 a block: a refinement has a bit for each of them. */
export type NonZeros = Map<JpegComponent, Uint8Array>;

interface Walk {
  readonly bits: JpegBits;
  readonly frame: JpegFrame;
  readonly scan: JpegScan;
  readonly tables: HuffmanTables;
  /** Units from one restart marker to the next, 0 without restarts. */
  readonly restartInterval: number;
  readonly nonZeros: NonZeros;
}

/** Reads one block; `run` is the number of blocks after it that a progressive scan declares empty. */
type BlockReader = (run: number) => number;

/**
 * Reads the codes of a Huffman-coded scan without computing anything from them, to see whether each block is there (ITU-T T.81,
 * annexes F and G). Yields after each row of units, so that the caller can pause.
 * @throws PictureFault at the first block that is missing, or whose code is in no table
 */
export function* walkScan(walk: Walk): Generator<void, void> {
  const { bits, frame, scan, restartInterval } = walk;
  const [only] = scan.components.length === 1 ? scan.components : [];
  const columns = only?.component.columns ?? frame.columns;
  const rows = only?.component.rows ?? frame.rows;
  // In the order of an interleaved unit; a component alone has units of one block.
  const unit = scan.components.flatMap(({ component, dc, ac }) => {
    const blocks = only === undefined ? component.h * component.v : 1;
    const across = only === undefined ? component.h : 1;
    return Array.from({ length: blocks }, (_, i) => {
      const at = { row: 0, column: 0 };
      return { at, read: blockReader(walk, component, { dc, ac }, at), component, across, i };
    });
  });
  bits.align();
  let left = restartInterval;
  let restarts = 0;
  let run = 0;
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      if (restartInterval > 0 && left === 0) {
        bits.restart(restarts & 7);
        restarts += 1;
        left = restartInterval;
        run = 0;
      }
      for (const { at, read, component, across, i } of unit) {
        at.row = only === undefined ? row * component.v + Math.floor(i / across) : row;
        at.column = only === undefined ? column * across + (i % across) : column;
        run = read(run);
      }
      left -= 1;
    }
    yield;
  }
}

function blockReader(
  walk: Walk,
  component: JpegComponent,
  used: { dc: number; ac: number },
  at: { row: number; column: number },
): BlockReader {
  const { bits, frame, scan, nonZeros } = walk;
  const { first, high } = scan;
  const dc = (): HuffmanTable => table(walk.tables.dc[used.dc]);
  const ac = (): HuffmanTable => table(walk.tables.ac[used.ac]);
  if (!frame.isProgressive) return sequential(bits, dc(), ac());
  if (first === 0) return high === 0 ? firstDc(bits, dc()) : refinedDc(bits);
  const known = nonZeros.get(component) ?? new Uint8Array(component.stride * frame.rows * component.v * 64);
  nonZeros.set(component, known);
  const start = (): number => (at.row * component.stride + at.column) * 64;
  return high === 0 ? firstAc(bits, ac(), scan, known, start) : refinedAc(bits, ac(), scan, known, start);
}

function table(codes: HuffmanCodes | undefined): HuffmanTable {
  if (codes === undefined) throw new PictureFault("broken", "a scan uses a table that is not there");
  if (codes.table === undefined) throw new PictureFault("broken", "a table of codes is illegal");
  return codes.table;
}

function sequential(bits: JpegBits, dc: HuffmanTable, ac: HuffmanTable): BlockReader {
  return (run) => {
    bits.take(sizeOf(bits.symbol(dc)));
    for (let k = 1; k < 64; k += 1) {
      const symbol = bits.symbol(ac);
      const size = symbol & 15;
      if (size !== 0) {
        k += symbol >> 4;
        bits.take(size);
      } else {
        if (symbol !== 0xf0) break;
        k += 15;
      }
    }
    return run;
  };
}

function firstDc(bits: JpegBits, dc: HuffmanTable): BlockReader {
  return (run) => {
    bits.take(sizeOf(bits.symbol(dc)));
    return run;
  };
}

/** The size of a DC difference, in bits. */
function sizeOf(symbol: number): number {
  if (symbol > 15) throw new PictureFault("broken", "a difference has more than 15 bits");
  return symbol;
}

function refinedDc(bits: JpegBits): BlockReader {
  return (run) => {
    bits.take(1);
    return run;
  };
}

function firstAc(
  bits: JpegBits,
  ac: HuffmanTable,
  { first, last }: JpegScan,
  known: Uint8Array,
  start: () => number,
): BlockReader {
  return (run) => {
    if (run > 0) return run - 1;
    const base = start();
    for (let k = first; k <= last; k += 1) {
      const symbol = bits.symbol(ac);
      const size = symbol & 15;
      const zeros = symbol >> 4;
      if (size !== 0) {
        k += zeros;
        bits.take(size);
        if (k < 64) known[base + k] = 1;
      } else if (zeros === 15) k += 15;
      else return (1 << zeros) - 1 + bits.take(zeros);
    }
    return 0;
  };
}

/** ITU-T T.81, G.1.2.3: each coefficient that is known sends one bit, wherever the codes pass it. */
function refinedAc(
  bits: JpegBits,
  ac: HuffmanTable,
  { first, last }: JpegScan,
  known: Uint8Array,
  start: () => number,
): BlockReader {
  return (run) => {
    const base = start();
    let k = first;
    let rest = run;
    while (rest === 0 && k <= last) {
      const symbol = bits.symbol(ac);
      const isNew = (symbol & 15) !== 0;
      let zeros = symbol >> 4;
      if (isNew) bits.take(1);
      else if (zeros !== 15) {
        rest = (1 << zeros) + bits.take(zeros);
        break;
      }
      for (; k <= last; k += 1) {
        if (known[base + k] === 1) bits.take(1);
        else if (zeros === 0) break;
        else zeros -= 1;
      }
      if (isNew && k <= last) known[base + k] = 1;
      k += 1;
    }
    if (rest === 0) return 0;
    for (; k <= last; k += 1) if (known[base + k] === 1) bits.take(1);
    return rest - 1;
  };
}
