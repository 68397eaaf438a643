import { choosePicture, isReduced, photometricOf } from "./choose-picture.js";
import { firstOf, textOf, type TiffDirectory, type TiffFile } from "./directories.js";

/**
 * Tells a camera's raw file from a picture. Most raw formats are TIFF files: their first page is a small preview or the
 * sensor's own readings, which no TIFF reader can show. The name is the format's usual extension.
 */
export type CameraRaw = (typeof makers)[number][1] | "dng" | "cr3" | "crw" | "raf" | "x3f" | "mrw" | "raw";

/** Beginnings of a camera's make, and the format that it writes. */
const makers = [
  ["NIKON", "nef"],
  ["SONY", "arw"],
  ["CANON", "cr2"],
  ["PENTAX", "pef"],
  ["RICOH", "pef"],
  ["OLYMPUS", "orf"],
  ["OM DIGITAL", "orf"],
  ["PANASONIC", "rw2"],
  ["SAMSUNG", "srw"],
  ["HASSELBLAD", "3fr"],
  ["PHASE ONE", "iiq"],
  ["EPSON", "erf"],
  ["SEIKO EPSON", "erf"],
  ["MAMIYA", "mef"],
  ["LEAF", "mos"],
  ["EASTMAN KODAK", "dcr"],
  ["KODAK", "dcr"],
] as const;

/** Signatures of raw formats, by their offset: those that are no TIFF, and those that change TIFF's own. */
const signatures: readonly (readonly [number, string, CameraRaw])[] = [
  [0, "IIRO", "orf"],
  [0, "IIRS", "orf"],
  [0, "MMOR", "orf"],
  [0, "MMSR", "orf"],
  [0, "IIU\0", "rw2"],
  [0, "FUJIFILMCCD-RAW", "raf"],
  [0, "FOVb", "x3f"],
  [0, "\0MRM", "mrw"],
  [6, "HEAPCCDR", "crw"],
  [4, "ftypcrx ", "cr3"],
];
/** Behind the header of a TIFF file. */
const tiffSignatures: readonly (readonly [number, string, CameraRaw])[] = [
  [8, "CR\x02", "cr2"],
  [8, "IIII", "iiq"],
  [8, "MMMM", "iiq"],
];

/** A raw format by its signature. @param head the first bytes as Latin-1 text */
export function rawBySignature(head: string): CameraRaw | undefined {
  const isTiff = /^(II\*\0|MM\0\*)/.test(head);
  const known = isTiff ? tiffSignatures : signatures;
  return known.find(([offset, signature]) => head.startsWith(signature, offset))?.[2];
}

const photometricCfa = 32803;
const photometricLinearRaw = 34892;
/** Compressions that only cameras write: Sony, packed, Samsung, Kodak, Nikon and Pentax. */
const rawCompressions = [32767, 32769, 32770, 32867, 34713, 65000, 65535];

/** Most pages whose subdirectories are looked at. */
const pagesAtMost = 16;

/** A raw format by what a file's directories say; undefined for a picture. */
export function rawByDirectories(file: TiffFile): CameraRaw | undefined {
  let first: TiffDirectory | undefined;
  let isRaw = false;
  let pages = 0;
  for (const page of file.pages()) {
    if (page === undefined || pages === pagesAtMost) break;
    pages += 1;
    first ??= page;
    for (const directory of [page, ...file.subdirectories(page)]) {
      if (directory.fields.has("dngVersion")) return "dng";
      isRaw ||= hasSensorReadings(directory);
    }
  }
  if (first === undefined || (!isRaw && !isPreviewOnly(file, first))) return undefined;
  const make = textOf(first, "make").toUpperCase();
  return makers.find(([maker]) => make.startsWith(maker))?.[1] ?? "raw";
}

function hasSensorReadings(directory: TiffDirectory): boolean {
  const photometric = photometricOf(directory);
  return (
    photometric === photometricCfa ||
    photometric === photometricLinearRaw ||
    directory.fields.has("cfaPattern") ||
    directory.fields.has("cfaRepeatPattern") ||
    rawCompressions.includes(firstOf(directory, "compression") ?? 1)
  );
}

/** A camera's file with a reduced first page, and no full picture to go with it. */
function isPreviewOnly(file: TiffFile, first: TiffDirectory): boolean {
  if (!isReduced(first) || textOf(first, "make") === "") return false;
  const { directory } = choosePicture(file);
  if (directory === undefined || !isReduced(directory)) return false;
  return first.fields.has("subdirectories") || first.fields.has("exifDirectory");
}
