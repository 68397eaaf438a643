import sharp, { type Sharp, type SharpOptions } from "sharp";

/** A picture before anything is done to it, and its size, which may be that of a picture on its side. */
export interface Opened {
  readonly source: Sharp;
  readonly width: number;
  readonly height: number;
}

/**
 * Prepares an image so that sharp converts it to sRGB correctly and paints the background in colour. By default sharp paints
 * the background of a grey image in grey, converts 16-bit colours with a profile only to Display P3, and ignores the profile
 * of 16-bit greys.
 */
export async function inColour(bytes: Uint8Array, options: SharpOptions, timeoutS: number): Promise<Opened> {
  const source = sharp(bytes, options);
  const { space, hasProfile, width, height } = await source.metadata();
  if (!hasProfile) {
    if (space === "b-w") source.pipelineColourspace("srgb");
    if (space === "grey16") source.pipelineColourspace("rgb16");
    return { source, width, height };
  }
  if (space === "rgb16") source.pipelineColourspace("srgb");
  if (space !== "b-w" && space !== "grey16") return { source, width, height };
  // A grey profile applies to one channel only, so it is applied first, and the background to the three channels afterwards.
  const { data, info } = await source
    .pipelineColourspace("b-w")
    .toColourspace("srgb")
    .raw({ depth: "uchar" })
    .timeout({ seconds: timeoutS })
    .toBuffer({ resolveWithObject: true });
  const upright = sharp(data, { raw: info, limitInputPixels: options.limitInputPixels ?? true });
  return { source: upright, width: info.width, height: info.height };
}
