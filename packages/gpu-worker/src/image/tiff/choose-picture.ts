import type { SharpOptions } from "sharp";
import { firstOf, type TiffDirectory, type TiffFile } from "./directories.js";

/** Which of a file's directories is its picture. */
export interface TiffPicture {
  /** Undefined if the first directory is not inside the file. */
  readonly directory: TiffDirectory | undefined;
  /** Number in the chain of pages. */
  readonly page: number;
  /** Number among the page's subdirectories; undefined if the page itself is the picture. */
  readonly subdirectory: number | undefined;
}

/**
 * The first page that is a full picture: neither a reduced one nor a mask (TIFF 6.0, NewSubfileType, bits 0 and 2). If no page
 * is, the first full picture among the subdirectories, and else the first page.
 */
export function choosePicture(file: TiffFile): TiffPicture {
  let first: TiffDirectory | undefined;
  let below: TiffPicture | undefined;
  let page = 0;
  for (const directory of file.pages()) {
    if (directory === undefined) break;
    first ??= directory;
    if (isFullPicture(directory)) return { directory, page, subdirectory: undefined };
    for (const [subdirectory, each] of file.subdirectories(directory).entries()) {
      if (below === undefined && isFullPicture(each)) below = { directory: each, page, subdirectory };
    }
    page += 1;
  }
  return below ?? { directory: first, page: 0, subdirectory: undefined };
}

export function isReduced(directory: TiffDirectory): boolean {
  // SubfileType is the older tag; its 2 is a reduced picture.
  return ((firstOf(directory, "newSubfileType") ?? 0) & 1) !== 0 || firstOf(directory, "subfileType") === 2;
}

function isFullPicture(directory: TiffDirectory): boolean {
  const isMask = ((firstOf(directory, "newSubfileType") ?? 0) & 4) !== 0 || photometricOf(directory) === 4;
  return !isReduced(directory) && !isMask;
}

export function photometricOf(directory: TiffDirectory): number | undefined {
  return firstOf(directory, "photometric");
}

/** Options of sharp that open this directory and no other. @param picture undefined for a file of another format */
export function openedAt(picture: TiffPicture | undefined): SharpOptions {
  const { page, subdirectory } = picture ?? { page: 0, subdirectory: undefined };
  if (subdirectory !== undefined) return { page, tiff: { subifd: subdirectory } };
  return page === 0 ? {} : { page };
}
