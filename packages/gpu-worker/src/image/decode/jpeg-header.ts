/** The part of a header that determines the memory, in the form of sharp's metadata. */
export interface JpegHeader {
  readonly format: "jpeg";
  readonly depth: "uchar";
  readonly channels: 1 | 3 | 4;
  readonly width: number;
  readonly height: number;
  readonly isProgressive: boolean;
}

/** Start of frame, baseline to lossless; C4, C8 and CC among them are something else (ITU-T T.81, table B.1). */
const isFrame = (marker: number): boolean =>
  marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
const isProgressive = (marker: number): boolean => marker === 0xc2 || marker === 0xc6 || marker === 0xca;
const app1 = 0xe1;
const startOfScan = 0xda;

/**
 * Reads from the segments of a plain JPEG what determines its memory (ITU-T T.81, annex B). Asking the decoder instead costs
 * a tenth of decoding a small photograph.
 * @returns undefined for any other file, and if the decoder must be asked: with Exif, which may rotate the image, or with
 *   anything unusual before the first scan
 */
export function jpegHeader(bytes: Uint8Array): JpegHeader | undefined {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return undefined;
  const at = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let header: JpegHeader | undefined;
  // A marker, its segment's length, and eight more bytes of a frame.
  for (let offset = 2; offset + 12 <= bytes.length; offset += 2 + at.getUint16(offset + 2)) {
    const marker = at.getUint8(offset + 1);
    if (at.getUint8(offset) !== 0xff || marker < 0xc0 || marker === 0xff || marker === app1) return undefined;
    if (marker === startOfScan) return header;
    if (!isFrame(marker)) continue;
    if (header !== undefined) return undefined;
    const channels = at.getUint8(offset + 9);
    const height = at.getUint16(offset + 5);
    const width = at.getUint16(offset + 7);
    const plain = at.getUint8(offset + 4) === 8 && (channels === 1 || channels === 3 || channels === 4);
    if (!plain || width === 0 || height === 0) return undefined;
    header = {
      ...{ width, height, channels, format: "jpeg", depth: "uchar" },
      isProgressive: isProgressive(marker),
    };
  }
  return undefined;
}

/** The size in a JPEG's first frame header, as it is stored: Exif may turn it. Undefined if none comes before the first scan. */
export function jpegSize(bytes: Uint8Array): { readonly width: number; readonly height: number } | undefined {
  const at = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let offset = 2;
  while (offset + 9 <= bytes.length && at.getUint8(offset) === 0xff) {
    const marker = at.getUint8(offset + 1);
    if (isFrame(marker)) {
      const size = { width: at.getUint16(offset + 7), height: at.getUint16(offset + 5) };
      return size.width === 0 || size.height === 0 ? undefined : size;
    }
    // Fill bytes before a marker, and markers without a length, are left to the decoder.
    if (marker === startOfScan || marker < 0xc0 || marker === 0xff) return undefined;
    offset += 2 + at.getUint16(offset + 2);
  }
  return undefined;
}
