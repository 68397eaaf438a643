import { z } from "zod";
import { TrommelError, parseAs, type ChannelOrder, type Normalization } from "@trommel/common";

/** How a repository's network wants its pictures. */
export interface HubPreprocessing {
  /** Side of the network's square input; undefined if the file does not say it. */
  readonly inputSize: number | undefined;
  readonly normalization: Normalization;
  readonly channelOrder: ChannelOrder;
  /** How a picture becomes a square: the fields `fit` and `kernel` of a recipe's `decode`. */
  readonly decode: {
    readonly fit: "squash" | "crop";
    readonly kernel: "nearest" | "linear" | "cubic" | "lanczos3";
    /** Side of the crop over the shorter side of the picture; Trommel's crop takes 1. */
    readonly crop: number;
  };
}

const side = z.number().int().positive();
const sides = z.union([
  side,
  z.object({ height: side, width: side }),
  // Height and width, as transformers reads a list.
  z.tuple([side, side]),
  z.object({ shortest_edge: side }),
  z.object({ longest_edge: side }),
]);
const numbers = z.array(z.number()).min(1);
const perChannel = z.union([z.number(), numbers]);

/** preprocessor_config.json of transformers, old and new. */
const transformersFile = z.object({
  do_resize: z.boolean().nullish(),
  size: sides.nullish(),
  resample: z.union([z.int(), z.string()]).nullish(),
  do_center_crop: z.boolean().nullish(),
  crop_size: sides.nullish(),
  crop_pct: z.number().positive().nullish(),
  do_rescale: z.boolean().nullish(),
  rescale_factor: z.number().positive().nullish(),
  rescale_offset: z.boolean().nullish(),
  do_normalize: z.boolean().nullish(),
  image_mean: perChannel.nullish(),
  image_std: perChannel.nullish(),
  do_flip_channel_order: z.boolean().nullish(),
});

/** `pretrained_cfg` in timm's config.json. */
const timmFile = z.object({
  input_size: z.tuple([z.literal(3), side, side]),
  interpolation: z.string().nullish(),
  crop_pct: z.number().positive().nullish(),
  crop_mode: z.string().nullish(),
  mean: numbers,
  std: numbers,
});

/** By PIL's numbers and by name. */
const kernels: Readonly<Record<string, HubPreprocessing["decode"]["kernel"]>> = {
  ...{ 0: "nearest", 1: "lanczos3", 2: "linear", 3: "cubic" },
  ...{ nearest: "nearest", lanczos: "lanczos3", bilinear: "linear", bicubic: "cubic" },
};

/**
 * @param json preprocessor_config.json, or processor_config.json, whose `image_processor` is the same
 * @throws TrommelError `unsupported` for an input that is not square or a kernel that Trommel lacks, `corrupt` for another form
 */
export function readPreprocessor(json: unknown, path: string): HubPreprocessing {
  const inner = z.object({ image_processor: z.unknown() }).safeParse(json);
  const file = parseAs(transformersFile, inner.success ? inner.data.image_processor : json, path, "corrupt");
  const resized = squareSide(file.size, path);
  const cropped = squareSide(file.crop_size, path);
  const crops = file.do_center_crop ?? false;
  const isExact =
    Array.isArray(file.size) ||
    (typeof file.size === "object" && file.size !== null && "height" in file.size);
  const inputSize = (crops ? cropped : undefined) ?? resized ?? cropped;
  // ConvNeXt's processor: below 384 it resizes the shorter side to size / crop_pct and crops, from 384 on it squashes.
  const convNext = file.crop_pct != null && !crops;
  const share = convNext
    ? (resized ?? 384) < 384
      ? (file.crop_pct ?? 1)
      : undefined
    : crops && cropped !== undefined && resized !== undefined
      ? cropped / resized
      : undefined;
  const isCrop = share !== undefined && !(crops && isExact);
  return {
    inputSize: file.do_resize === false && !crops ? undefined : inputSize,
    normalization: normalizationOf(file, path),
    channelOrder: file.do_flip_channel_order === true ? "bgr" : "rgb",
    decode: {
      fit: isCrop ? "crop" : "squash",
      kernel: kernelOf(String(file.resample ?? 2), path),
      crop: share ?? 1,
    },
  };
}

/** @param json `pretrained_cfg` of timm's config.json */
export function readTimmConfig(json: unknown, path: string): HubPreprocessing {
  const {
    input_size: size,
    interpolation,
    crop_pct: crop,
    crop_mode: mode,
    mean,
    std,
  } = parseAs(timmFile, json, path, "corrupt");
  const [, height, width] = size;
  if (height !== width) throw notSquare(path, height, width);
  return {
    inputSize: height,
    normalization: scaled(mean, std, 1 / 255, 0, path),
    channelOrder: "rgb",
    decode: {
      fit: mode === "squash" ? "squash" : "crop",
      kernel: kernelOf(interpolation ?? "bicubic", path),
      crop: mode === "squash" ? 1 : (crop ?? 0.875),
    },
  };
}

function squareSide(given: z.infer<typeof sides> | null | undefined, path: string): number | undefined {
  if (given == null) return undefined;
  if (typeof given === "number") return given;
  if ("shortest_edge" in given) return given.shortest_edge;
  if ("longest_edge" in given) return given.longest_edge;
  const [height, width] = Array.isArray(given) ? given : [given.height, given.width];
  if (height !== width) throw notSquare(path, height, width);
  return height;
}

function notSquare(path: string, height: number, width: number): TrommelError {
  return new TrommelError(
    "unsupported",
    `cannot use ${path}: the network's input is ${height} × ${width}, and a backbone's is square. Choose another network`,
  );
}

function normalizationOf(file: z.infer<typeof transformersFile>, path: string): Normalization {
  const rescales = file.do_rescale ?? true;
  const factor = rescales ? (file.rescale_factor ?? 1 / 255) : 1;
  const offset = rescales && file.rescale_offset === true ? -1 : 0;
  const normalizes = file.do_normalize ?? true;
  const mean = normalizes ? (file.image_mean ?? 0) : 0;
  const std = normalizes ? (file.image_std ?? 1) : 1;
  return scaled(mean, std, factor, offset, path);
}

/** (pixel · factor + offset - mean) / deviation, in 0..255 units. */
function scaled(
  mean: number | number[],
  std: number | number[],
  factor: number,
  offset: number,
  path: string,
): Normalization {
  const triple = (given: number | number[]): [number, number, number] => {
    const list =
      typeof given === "number" || given.length === 1
        ? Array.from({ length: 3 }, () => [given].flat()[0])
        : given;
    const [r, g, b] = list;
    if (r === undefined || g === undefined || b === undefined || list.length !== 3) {
      throw new TrommelError(
        "unsupported",
        `cannot use ${path}: it normalises ${list.length} channels, and a backbone has three`,
      );
    }
    return [r, g, b];
  };
  // Decimal fractions of 255 are shown as people write them: 0.485 / (1/255) is 123.675 and not 123.67499999999998.
  const inPixels = (value: number): number => Number((value / factor).toPrecision(12));
  const [means, deviations] = [triple(mean), triple(std)];
  if (deviations.some((value) => value <= 0))
    throw new TrommelError(
      "corrupt",
      `cannot use ${path}: a deviation of ${Math.min(...deviations)} is not above zero`,
    );
  return {
    mean: [inPixels(means[0] - offset), inPixels(means[1] - offset), inPixels(means[2] - offset)],
    deviation: [inPixels(deviations[0]), inPixels(deviations[1]), inPixels(deviations[2])],
  };
}

function kernelOf(resample: string, path: string): HubPreprocessing["decode"]["kernel"] {
  const kernel = kernels[resample.toLowerCase()];
  if (kernel !== undefined) return kernel;
  throw new TrommelError(
    "unsupported",
    `cannot use ${path}: it resizes by the kernel ${resample} (legal: ${Object.keys(kernels).join(", ")}). Give --size and --normalize, which take its place`,
  );
}

/** For people: what Trommel takes over, and what a recipe has to say. */
export function describePreprocessing({ inputSize, decode }: HubPreprocessing): string {
  const crop =
    decode.crop === 1
      ? ""
      : ` (it crops ${decode.crop.toPrecision(3)} of the shorter side, and Trommel's crop takes all of it)`;
  return `its pictures are ${inputSize ?? "?"} × ${inputSize ?? "?"} pixels; in a recipe: decode: { fit: ${decode.fit}, kernel: ${decode.kernel} }${crop}`;
}
