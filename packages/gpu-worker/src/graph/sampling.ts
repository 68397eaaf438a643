import type { BackboneSpec } from "@trommel/common";
import type { GraphBuilder } from "./graph-builder.js";

/**
 * From a base image to a backbone's input, inside the graph: sampling, colour and normalisation.
 *
 * Sampling is bilinear between pixel centres, and the edge pixel repeats outside (GridSample with padding "border" and
 * align_corners 0). Each image is cast and transposed once, however many views it has, and each view has its own GridSample:
 * ONNX Runtime's CPU provider stores 56 bytes for every point of a grid before it samples, and for one tall grid of all views
 * they would leave the caches before they are read.
 */

/** The part of a spec that determines the input of a backbone. */
export type InputContract = Pick<BackboneSpec, "inputSize" | "normalization" | "channelOrder">;

export interface ViewInputs {
  /** Value uint8 [B, side, side, 3], RGB. */
  readonly pixels: string;
  /** Value float32 [B·V, 2, 3], see {@link viewInput} for the units. */
  readonly affine: string;
  /** Value float32 [B·V, 3, 4], or null if no view changes colours. */
  readonly colour: string | null;
  /** Side of the square base image in pixels. */
  readonly side: number;
  /** V. */
  readonly viewCount: number;
  /** View 0 of every image is the identity, whatever `affine` says. */
  readonly identityFirst: boolean;
}

/**
 * Network inputs of all views, emitted once for each distinct size, normalisation and channel order.
 * `affine` maps output to input coordinates, x right and y down, -1 and 1 at the image's edges; `colour` maps (r, g, b, 1)
 * in 0..255 to (r, g, b), clipped to 0..255 afterwards.
 */
export class ViewSampler {
  readonly #builder: GraphBuilder;
  readonly #inputs: ViewInputs;
  readonly #made = new Map<string, string>();
  readonly #gridsOfSize = new Map<number, readonly string[]>();

  constructor(builder: GraphBuilder, inputs: ViewInputs) {
    this.#builder = builder;
    this.#inputs = inputs;
  }

  /** @returns a value float32 [B·V, 3, inputSize, inputSize], normalised, in the backbone's channel order */
  viewInput(contract: InputContract): string {
    return this.#inputs.colour === null
      ? this.#sample(this.#normalised(contract), contract.inputSize)
      : this.#recoloured(contract, this.#inputs.colour);
  }

  /** Bilinear weights sum to one, so normalising the image once equals normalising each of its views. */
  #normalised(contract: InputContract): string {
    return this.#once(`normalised ${inputKey(contract)}`, () =>
      normalisedImage(this.#builder, this.#planes(), contract),
    );
  }

  /** float32 [B, 3, side, side] in 0..255. */
  #planes(): string {
    return this.#once("planes", () => planesOf(this.#builder, this.#inputs.pixels));
  }

  #sample(image: string, size: number): string {
    return this.#once(`sample ${image} ${size}`, () => {
      const { side, identityFirst } = this.#inputs;
      const views = this.#grids(size).map((grid) => gridSample(this.#builder, image, grid));
      if (identityFirst) views.unshift(atIdentity(this.#builder, image, side, size));
      if (views.length === 1) return views[0]!;
      // The views of one image follow one another, like additional channels.
      return this.#builder.reshape(this.#builder.node("Concat", views, { axis: 1 }), [-1, 3, size, size]);
    });
  }

  /** One grid for each view that has a matrix, float32 [B, size, size, 2]. */
  #grids(size: number): readonly string[] {
    const known = this.#gridsOfSize.get(size);
    if (known !== undefined) return known;
    const { side } = this.#inputs;
    const rows = pixelCentres(size).flatMap((y) => [1, y]);
    const factor = constant(this.#builder, `rows_${size}`, [1, size, 2], rows);
    const grids = affineTerms(this.#builder, this.#inputs, size).map((terms) => {
      const points = this.#builder.node("MatMul", [factor, terms]);
      return inside(this.#builder, this.#builder.reshape(points, [-1, size, size, 2]), side);
    });
    this.#gridsOfSize.set(size, grids);
    return grids;
  }

  /**
   * (clip(M·p + o, 0, 255) - mean) / deviation, with the normalisation folded into M and o (twelve numbers a view) and into
   * the bounds of the clip.
   */
  #recoloured(contract: InputContract, colour: string): string {
    return this.#once(`recoloured ${inputKey(contract)}`, () => {
      const builder = this.#builder;
      const { inputSize: size } = contract;
      const { mean, deviation } = inOrder(contract);
      const rows = contract.channelOrder === "bgr" ? reversedChannels(builder, colour, 1) : colour;
      const scaled = builder.node("Div", [rows, constant(builder, "deviation", [1, 3, 1], deviation)]);
      const cuts = builder.constant("colour_cuts", "int64", [2], BigInt64Array.of(3n, 1n));
      const [matrix = "", offset = ""] = builder.node("Split", [scaled, cuts], { axis: 2 }, 2);
      const shift = mean.map((value, i) => value / deviation[i]!);
      const offsets = builder.node("Sub", [offset, constant(builder, "shift", [1, 3, 1], shift)]);
      const views = builder.reshape(this.#sample(this.#planes(), size), [0, 3, size * size]);
      const mixed = builder.node("Add", [builder.node("MatMul", [matrix, views]), offsets]);
      const bounds = (level: number) =>
        constant(
          builder,
          "bound",
          [1, 3, 1],
          mean.map((value, i) => (level - value) / deviation[i]!),
        );
      const clipped = builder.node("Min", [builder.node("Max", [mixed, bounds(0)]), bounds(255)]);
      return builder.reshape(clipped, [-1, 3, size, size]);
    });
  }

  #once(key: string, make: () => string): string {
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#made.set(key, made);
    return made;
  }
}

/**
 * The identity view alone; no sampling if the base image already has the backbone's size.
 * @param pixels value uint8 [N, side, side, 3], RGB
 * @returns a value float32 [N, 3, inputSize, inputSize]
 */
export function identityInput(
  builder: GraphBuilder,
  pixels: string,
  side: number,
  contract: InputContract,
): string {
  const image = normalisedImage(builder, planesOf(builder, pixels), contract);
  return atIdentity(builder, image, side, contract.inputSize);
}

/** @param image value float32 [N, 3, side, side] @returns a value float32 [N, 3, size, size] */
function atIdentity(builder: GraphBuilder, image: string, side: number, size: number): string {
  if (size === side) return image;
  // One grid serves the whole batch if its images are the channels of a single one.
  const centres = pixelCentres(size);
  const grid = centres.flatMap((y) => centres.flatMap((x) => [x, y]));
  const points = constant(builder, `identity_grid_${size}`, [1, size, size, 2], grid);
  const together = builder.reshape(image, [1, -1, side, side]);
  const sampled = gridSample(builder, together, inside(builder, points, side));
  return builder.reshape(sampled, [-1, 3, size, size]);
}

/** Equal keys mean equal inputs. */
export function inputKey({ inputSize, normalization, channelOrder }: InputContract): string {
  return JSON.stringify([inputSize, normalization.mean, normalization.deviation, channelOrder]);
}

/** uint8 [B, H, W, 3] → float32 [B, 3, H, W]. */
function planesOf(builder: GraphBuilder, pixels: string): string {
  const floats = builder.node("Cast", [pixels], { to: 1 });
  return builder.node("Transpose", [floats], { perm: [0, 3, 1, 2] });
}

function normalisedImage(builder: GraphBuilder, planes: string, contract: InputContract): string {
  const ordered = contract.channelOrder === "bgr" ? reversedChannels(builder, planes, 1) : planes;
  const { mean, deviation } = inOrder(contract);
  const centred = builder.node("Sub", [ordered, constant(builder, "mean", [1, 3, 1, 1], mean)]);
  return builder.node("Div", [centred, constant(builder, "deviation", [1, 3, 1, 1], deviation)]);
}

/** The spec's values are per RGB channel; the result is in the network's channel order. */
function inOrder({ normalization, channelOrder }: InputContract) {
  const { mean, deviation } = normalization;
  return channelOrder === "rgb"
    ? { mean: [...mean], deviation: [...deviation] }
    : { mean: mean.toReversed(), deviation: deviation.toReversed() };
}

function reversedChannels(builder: GraphBuilder, value: string, axis: number): string {
  return builder.node("Gather", [value, builder.int64s([2, 1, 0])], { axis });
}

/**
 * Samples at points that are all `inside`. ONNX Runtime's CPU provider has a fast path only for the padding "zeros", twice
 * as fast as "border".
 * @param image value float32 [.., side, side]
 */
function gridSample(builder: GraphBuilder, image: string, grid: string): string {
  // Opset 20 renamed the mode.
  const mode = builder.opset >= 20 ? "linear" : "bilinear";
  return builder.node("GridSample", [image, grid], { mode, padding_mode: "zeros", align_corners: 0 });
}

/** Clips points to the outermost pixels' centres, so that the edge pixel repeats outside, whatever the padding. */
function inside(builder: GraphBuilder, grid: string, side: number): string {
  const edge = 1 - 1 / side;
  return builder.node("Clip", [
    grid,
    constant(builder, `lowest_${side}`, [], [-edge]),
    constant(builder, `highest_${side}`, [], [edge]),
  ]);
}

/**
 * For each view that has a matrix, float32 [B, 2, 2·size]. The point in row i and column j is A·(x, 0, 1) plus y times
 * A·(0, 1, 0): these are the two rows, each with x and y interleaved. The grid is a product with them whose rows are long
 * enough for the runtime's vector instructions; [size², 3] times [3, 2] is not, and took a tenth of the sampling time.
 */
function affineTerms(
  builder: GraphBuilder,
  { affine, viewCount, identityFirst }: ViewInputs,
  size: number,
): readonly string[] {
  const first = identityFirst ? 1 : 0;
  if (viewCount === first) return [];
  const centres = pixelCentres(size);
  const columns = [...centres.flatMap((x) => [x, 0, 1]), ...centres.flatMap(() => [0, 1, 0])];
  const terms = builder.node("MatMul", [
    constant(builder, `columns_${size}`, [1, 2 * size, 3], columns),
    builder.node("Transpose", [affine], { perm: [0, 2, 1] }),
  ]);
  const byView = builder.reshape(terms, [-1, viewCount, 2, 2 * size]);
  // Gather instead of Split: a GPU binds all outputs of a Split at once and allows only few.
  return Array.from({ length: viewCount - first }, (_, i) => {
    const view = builder.constant("view", "int64", [], BigInt64Array.of(BigInt(first + i)));
    return builder.node("Gather", [byView, view], { axis: 1 });
  });
}

/** Pixel centres along one side, -1 and 1 at the image's edges. */
function pixelCentres(size: number): number[] {
  return Array.from({ length: size }, (_, i) => (2 * i + 1) / size - 1);
}

function constant(
  builder: GraphBuilder,
  hint: string,
  dims: readonly number[],
  values: ArrayLike<number>,
): string {
  return builder.constant(hint, "float32", dims, Float32Array.from(values));
}
