import { type NumberList, type TiffDirectory, TiffFile } from "./directories.js";
import { choosePicture } from "./choose-picture.js";

/** Whether a TIFF file stops before its picture does: the directory, its fields' values, and its strips or tiles must be inside. */
export function tiffEndsEarly(bytes: Uint8Array): boolean {
  const file = TiffFile.open(bytes);
  if (file === undefined) return bytes.length < 16;
  const { directory } = choosePicture(file);
  return directory === undefined || !directory.isComplete || stripsEndEarly(directory, bytes.length);
}

function stripsEndEarly({ fields }: TiffDirectory, sizeBytes: number): boolean {
  const list = (strips: "stripOffsets" | "stripByteCounts", tiles: "tileOffsets" | "tileByteCounts") =>
    (fields.get(strips) ?? fields.get(tiles))?.values ?? none;
  const offsets = list("stripOffsets", "tileOffsets");
  const sizes = list("stripByteCounts", "tileByteCounts");
  for (let i = 0; i < offsets.count; i += 1) {
    if (offsets.at(i) + sizes.at(i) > sizeBytes) return true;
  }
  return false;
}

const none: NumberList = { count: 0, at: () => 0 };
