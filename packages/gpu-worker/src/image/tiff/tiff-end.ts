import { type NumberList, type TiffDirectory, TiffFile } from "./directories.js";
import { choosePicture } from "./choose-picture.js";

/** Strips between two pauses: their list may be most of the file. */
const stripsPerPause = 1 << 14;

/**
 * Whether a TIFF file stops before its picture does: the directory, its fields' values, and its strips or tiles must be inside.
 * Yields so that the caller can pause.
 */
export function* tiffEndsEarly(bytes: Uint8Array): Generator<void, boolean> {
  const file = TiffFile.open(bytes);
  if (file === undefined) return bytes.length < 16;
  const { directory } = choosePicture(file);
  if (directory === undefined || !directory.isComplete) return true;
  return yield* stripsEndEarly(directory, bytes.length);
}

/** Whether a strip or a tile is outside the file. A list inside it has no more values than the file has bytes. */
export function* stripsEndEarly({ fields }: TiffDirectory, sizeBytes: number): Generator<void, boolean> {
  const list = (strips: "stripOffsets" | "stripByteCounts", tiles: "tileOffsets" | "tileByteCounts") =>
    (fields.get(strips) ?? fields.get(tiles))?.values ?? none;
  const offsets = list("stripOffsets", "tileOffsets");
  const sizes = list("stripByteCounts", "tileByteCounts");
  for (let i = 0; i < offsets.count; i += 1) {
    if (i % stripsPerPause === 0) yield;
    if (offsets.at(i) + sizes.at(i) > sizeBytes) return true;
  }
  return false;
}

/** Whether a tile is outside the file: libvips paints tiles that it cannot read black. It refuses a file for a strip. */
export function* tilesEndEarly(directory: TiffDirectory, sizeBytes: number): Generator<void, boolean> {
  return directory.fields.has("tileWidth") && (yield* stripsEndEarly(directory, sizeBytes));
}

const none: NumberList = { count: 0, at: () => 0 };
