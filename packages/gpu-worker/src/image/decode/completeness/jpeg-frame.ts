import { PictureFault } from "./picture-fault.js";

export interface JpegComponent {
  readonly id: number;
  /** Blocks of an interleaved unit, sideways and down. */
  readonly h: number;
  readonly v: number;
  /** Blocks of a scan of this component alone. */
  readonly columns: number;
  readonly rows: number;
  /** Blocks from one row to the next, with those that only fill up the last unit. */
  readonly stride: number;
  /** For each coefficient the bit that was sent last, −1 before the first. A whole picture ends with zeros. */
  readonly sent: Int8Array;
}

export interface JpegFrame {
  readonly isProgressive: boolean;
  readonly isArithmetic: boolean;
  /** Interleaved units, sideways and down. */
  readonly columns: number;
  readonly rows: number;
  readonly components: readonly JpegComponent[];
}

export interface JpegScan {
  readonly components: readonly {
    readonly component: JpegComponent;
    readonly dc: number;
    readonly ac: number;
  }[];
  /** First and last coefficient, in zigzag order. */
  readonly first: number;
  readonly last: number;
  /** The bit that was sent before, 0 if none was, and the one that is sent now (ITU-T T.81, B.2.3). */
  readonly high: number;
  readonly low: number;
}

/** Baseline, extended and progressive, each with Huffman or arithmetic codes. */
export const frameMarkers = [0xc0, 0xc1, 0xc2, 0xc9, 0xca];

/** Pixels: libjpeg refuses more. */
const sideAtMost = 65_500;

const broken = (what: string): PictureFault => new PictureFault("broken", what);

/** @param segment what follows the length @throws PictureFault */
export function readFrame(code: number, segment: Buffer, maxPixels: number): JpegFrame {
  const count = segment[5] ?? 0;
  if (count === 0 || count > 4 || segment.length !== 6 + 3 * count)
    throw broken("its frame has no legal length");
  const height = segment.readUInt16BE(1);
  const width = segment.readUInt16BE(3);
  if (segment[0] !== 8 || width === 0 || height === 0) throw broken("its frame is not decoded");
  if (Math.max(width, height) > sideAtMost || width * height > maxPixels) throw broken("it is too large");
  const shapes = Array.from({ length: count }, (_, i) => {
    const factors = segment[7 + 3 * i] ?? 0;
    return { id: segment[6 + 3 * i] ?? 0, h: factors >> 4, v: factors & 15 };
  });
  if (shapes.some(({ h, v }) => h < 1 || h > 4 || v < 1 || v > 4))
    throw broken("its sampling factors are illegal");
  const hMax = Math.max(...shapes.map(({ h }) => h));
  const vMax = Math.max(...shapes.map(({ v }) => v));
  const columns = Math.ceil(width / (8 * hMax));
  return {
    isProgressive: code === 0xc2 || code === 0xca,
    isArithmetic: code >= 0xc9,
    columns,
    rows: Math.ceil(height / (8 * vMax)),
    components: shapes.map(({ id, h, v }) => ({
      ...{ id, h, v },
      columns: Math.ceil((width * h) / (8 * hMax)),
      rows: Math.ceil((height * v) / (8 * vMax)),
      stride: columns * h,
      sent: new Int8Array(64).fill(-1),
    })),
  };
}

/** @param segment what follows the length @throws PictureFault */
export function readScan(frame: JpegFrame, segment: Buffer): JpegScan {
  const count = segment[0] ?? 0;
  if (count < 1 || count > 4 || segment.length !== 4 + 2 * count) throw broken("a scan has no legal length");
  const rest = [...frame.components];
  const components = Array.from({ length: count }, (_, i) => {
    const place = rest.findIndex(({ id }) => id === segment[1 + 2 * i]);
    const [component] = place < 0 ? [] : rest.splice(place, 1);
    if (component === undefined) throw broken("a scan names a component that its frame has not");
    const tables = segment[2 + 2 * i] ?? 0;
    return { component, dc: tables >> 4, ac: tables & 15 };
  });
  const [first = 0, last = 0, bits = 0] = segment.subarray(1 + 2 * count);
  if (!frame.isProgressive) {
    // Some cameras write nonsense here, and libjpeg ignores it; of one of several scans it shows that its header is cut.
    if (rest.length > 0 && (first !== 0 || last !== 63 || bits !== 0))
      throw broken("a scan has no legal band");
    return { components, first: 0, last: 63, high: 0, low: 0 };
  }
  const high = bits >> 4;
  const low = bits & 15;
  const isBand = first === 0 ? last === 0 : first <= last && last < 64 && count === 1;
  if (!isBand || low > 13 || (high !== 0 && low !== high - 1))
    throw broken("a scan has an illegal progression");
  return { components, first, last, high, low };
}

/** Notes what a scan sends. @throws PictureFault if it refines what has not been sent, or was refined already */
export function noteScan({ components, first, last, high, low }: JpegScan): void {
  for (const { component } of components) {
    // The other coefficients make no sense without the first one.
    if (first > 0 && (component.sent[0] ?? -1) < 0) throw missingScan();
    for (let k = first; k <= last; k += 1) {
      const before = component.sent[k] ?? -1;
      if (high !== 0 && (before < 0 || before > high)) throw missingScan();
      if (high !== 0 && before < high) throw broken("a scan is there twice");
      component.sent[k] = low;
    }
  }
}

/** Whether the scans so far have sent every bit of every coefficient. */
export function isSent(frame: JpegFrame): boolean {
  return frame.components.every(({ sent }) => sent.every((bit) => bit === 0));
}

export function missingScan(): PictureFault {
  return new PictureFault("truncated", "a scan is missing");
}
