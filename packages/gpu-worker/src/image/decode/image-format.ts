import { constants, gunzipSync } from "node:zlib";
import { type CameraRaw, rawByDirectories, rawBySignature } from "../tiff/camera-raw.js";
import { choosePicture, type TiffPicture } from "../tiff/choose-picture.js";
import { TiffFile } from "../tiff/directories.js";
import { lacksSampleTags, type NumberSamples, samplesOf } from "../tiff/sample-kinds.js";

/**
 * Detects the format of a file by its content, never by its name.
 *
 * `decodable` formats go to the decoder; the `refused` ones are known so that the ledger can name them. SVG and PDF are
 * refused because they are programs that draw, with their own use of network and memory.
 */

export type DecodableFormat = "jpeg" | "png" | "webp" | "gif" | "tiff" | "avif";
export type RefusedFormat =
  "svg" | "pdf" | "heic" | "bmp" | "ico" | "psd" | "jxl" | "jp2" | "postscript" | CameraRaw;

export type ImageFormat =
  | {
      readonly kind: "decodable";
      readonly format: DecodableFormat;
      /** Only with a TIFF file. */
      readonly picture?: TiffPicture;
      /** Set if libvips would cast the picture's samples wrongly. */
      readonly numbers?: NumberSamples | undefined;
    }
  /** A known format, or what a TIFF file has that cannot be read. */
  | {
      readonly kind: "refused";
      readonly format: RefusedFormat | `tiff: ${string}`;
      /** Only with a TIFF file that cannot be read for its samples. */
      readonly picture?: TiffPicture;
    }
  | { readonly kind: "unknown" };

/** Leading bytes as Latin-1 text; the more specific signature comes first. */
const decodableSignatures: readonly (readonly [string, DecodableFormat])[] = [
  ["\xff\xd8\xff", "jpeg"],
  ["\x89PNG\r\n\x1a\n", "png"],
  ["GIF87a", "gif"],
  ["GIF89a", "gif"],
  ["II*\0", "tiff"],
  ["MM\0*", "tiff"],
  ["II+\0", "tiff"],
  ["MM\0+", "tiff"],
];

const refusedSignatures: readonly (readonly [string, RefusedFormat])[] = [
  ["%PDF-", "pdf"],
  ["%!PS", "postscript"],
  ["8BPS", "psd"],
  ["\0\0\x01\0", "ico"],
  ["\xff\x0a", "jxl"],
  ["\0\0\0\x0cJXL ", "jxl"],
  ["\0\0\0\x0cjP  ", "jp2"],
  ["\xff\x4f\xff\x51", "jp2"],
];

const heicBrands = ["heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1"];

/**
 * Reads at most the first few kilobytes, and the directories of a TIFF file.
 * @param version the decode version, of which 1 takes the first page of everything that begins as TIFF. @default the newest
 */
export function imageFormat(bytes: Uint8Array, version?: number): ImageFormat {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 4096)).toString("latin1");
  for (const [signature, format] of decodableSignatures) {
    if (!head.startsWith(signature)) continue;
    return format === "tiff" && version !== 1 ? tiffFormat(bytes, head) : { kind: "decodable", format };
  }
  const raw = rawBySignature(head);
  if (raw !== undefined) return { kind: "refused", format: raw };
  if (head.startsWith("RIFF") && head.slice(8, 12) === "WEBP") return { kind: "decodable", format: "webp" };
  if (head.slice(4, 8) === "ftyp") return isoMediaFormat(head);
  for (const [signature, format] of refusedSignatures) {
    if (head.startsWith(signature)) return { kind: "refused", format };
  }
  if (isBitmap(head)) return { kind: "refused", format: "bmp" };
  if (isSvg(head) || isSvg(inflatedHead(head))) return { kind: "refused", format: "svg" };
  return { kind: "unknown" };
}

/** The signature is also that of most cameras' raw formats, whose first page is a preview. */
function tiffFormat(bytes: Uint8Array, head: string): ImageFormat {
  const file = TiffFile.open(bytes);
  if (file === undefined) return { kind: "decodable", format: "tiff" };
  const raw = rawBySignature(head) ?? rawByDirectories(file);
  if (raw !== undefined) return { kind: "refused", format: raw };
  const picture = choosePicture(file);
  const { directory } = picture;
  // What is missing at the file's end says more than what is there: the decoder finds it truncated.
  if (directory === undefined || lacksSampleTags(directory))
    return { kind: "decodable", format: "tiff", picture };
  const samples = samplesOf(directory);
  if (samples.kind === "refused") return { kind: "refused", format: `tiff: ${samples.detail}`, picture };
  const numbers = samples.kind === "numbers" ? samples : undefined;
  return { kind: "decodable", format: "tiff", picture, numbers };
}

/** ISO base media files (ISO/IEC 14496-12) list their brands in the `ftyp` box; videos have neither kind of brand. */
function isoMediaFormat(head: string): ImageFormat {
  const boxSize = Buffer.from(head.slice(0, 4), "latin1").readUInt32BE(0);
  const names = head.slice(8, Math.min(boxSize, head.length));
  const brands: readonly string[] = names.match(/.{4}/gs) ?? [];
  if (brands.includes("avif") || brands.includes("avis")) return { kind: "decodable", format: "avif" };
  if (brands.some((brand) => heicBrands.includes(brand))) return { kind: "refused", format: "heic" };
  return { kind: "unknown" };
}

/** Many texts start with "BM", so the four reserved bytes of the header must be zero too. */
function isBitmap(head: string): boolean {
  return head.startsWith("BM") && head.slice(6, 10) === "\0\0\0\0";
}

/** The start of the content of a gzip file (RFC 1952), so that `.svgz` is recognised; empty for any other file. */
function inflatedHead(head: string): string {
  if (!head.startsWith("\x1f\x8b")) return "";
  try {
    // Deflate expands one byte to at most 1032, so the result is small, whatever the content.
    const start = Buffer.from(head.slice(0, 1024), "latin1");
    return gunzipSync(start, { finishFlush: constants.Z_SYNC_FLUSH }).toString("latin1", 0, 4096);
  } catch {
    return "";
  }
}

function isSvg(head: string): boolean {
  const text = head.replace(/^\xef\xbb\xbf/, "").trimStart();
  return text.startsWith("<") && /<svg[\s>]/i.test(text);
}
