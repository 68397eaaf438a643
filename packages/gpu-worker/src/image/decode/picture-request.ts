import type { TiffDirectory } from "../tiff/directories.js";
import type { DecodableFormat } from "./image-format.js";

/** Levels of libvips at which a decoder gives up. */
export type FailOn = "none" | "error" | "warning";

export interface WholePicture<Pixels> {
  readonly bytes: Uint8Array;
  readonly format: DecodableFormat;
  /** A header that announces more is not walked. */
  readonly maxPixels: number;
  /** Decodes a file; the level is libvips'. */
  readonly decode: (bytes: Uint8Array, failOn: FailOn) => Promise<Pixels>;
  /** Whether nothing is to be found out about what `decode` threw. */
  readonly isFinal: (thrown: unknown) => Promise<boolean>;
  readonly signal: AbortSignal;
  /** The directory of a TIFF's picture; undefined if it is not inside the file. */
  readonly directory?: TiffDirectory | undefined;
  /** How long libvips may take. */
  readonly timeoutS: number;
}
