import type { BackboneSpec } from "@trommel/common";
import type { GraphBuilder } from "./graph-builder.js";
import { int64s, reshape } from "./reshape.js";

/**
 * From a base image to a backbone's input, inside the graph: sampling, colour and normalisation.
 *
 * Sampling is bilinear between pixel centres, and the edge pixel repeats outside (GridSample with padding "border" and
 * align_corners 0). Each picture is cast and laid out once, however many views it has, and each view has a GridSample of
 * its own: ONNX Runtime's CPU provider writes down 56 bytes for every point of a grid before it samples, and those of
 * one tall grid for all views fall out of the caches before they are read.
 */

/** What of a backbone decides its input. */
export type InputContract = Pick<BackboneSpec, "inputSize" | "normalization" | "channelOrder">;

export interface ViewInputs {
  /** Value uint8 [B, side, side, 3], RGB. */
  readonly pixels: string;
  /** Value float32 [B·V, 2, 3], see {@link viewInput} for the units. */
  readonly affine: string;
  /** Value float32 [B·V, 3, 4], or null where no view changes colours. */
  readonly colour: string | null;
  /** Of the square base image, pixels. */
  readonly side: number;
  /** V. */
  readonly viewCount: number;
  /** View 0 of every picture is the identity, whatever `affine` says. */
  readonly identityFirst: boolean;
}

/**
 * Network inputs of all views, made once for every distinct size, normalisation and channel order.
 * `affine` takes output to input coordinates, x right and y down, -1 and 1 at the picture's edges; `colour` takes
 * (r, g, b, 1) in 0..255 to (r, g, b), clipped to 0..255 afterwards.
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

  /** Bilinear weights sum to one, so normalising the picture once equals normalising each of its views. */
  #normalised(contract: InputContract): string {
    return this.#once(`normalised ${inputKey(contract)}`, () =>
      normalisedPicture(this.#builder, this.#planes(), contract),
    );
  }

  /** float32 [B, 3, side, side] in 0..255. */
  #planes(): string {
    return this.#once("planes", () => planesOf(this.#builder, this.#inputs.pixels));
  }

  #sample(picture: string, size: number): string {
    return this.#once(`sample ${picture} ${size}`, () => {
      const { side, identityFirst } = this.#inputs;
      const views = this.#grids(size).map((grid) => gridSample(this.#builder, picture, grid));
      if (identityFirst) views.unshift(atIdentity(this.#builder, picture, side, size));
      if (views.length === 1) return views[0]!;
      // The views of one picture lie one after the other, as if they were more channels of it.
      return reshape(this.#builder, this.#builder.node("Concat", views, { axis: 1 }), [-1, 3, size, size]);
    });
  }

  /** Of each view that has a matrix, float32 [B, size, size, 2]. */
  #grids(size: number): readonly string[] {
    const known = this.#gridsOfSize.get(size);
    if (known !== undefined) return known;
    const { side } = this.#inputs;
    const rows = pixelCentres(size).flatMap((y) => [1, y]);
    const factor = constant(this.#builder, `rows_${size}`, [1, size, 2], rows);
    const grids = affineTerms(this.#builder, this.#inputs, size).map((terms) => {
      const points = this.#builder.node("MatMul", [factor, terms]);
      return inside(this.#builder, reshape(this.#builder, points, [-1, size, size, 2]), side);
    });
    this.#gridsOfSize.set(size, grids);
    return grids;
  }

  /**
   * (clip(M·p + o, 0, 255) - mean) / deviation, with the normalisation moved into M and o (twelve numbers a view) and the
   * clip's bounds moved along.
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
      const views = reshape(builder, this.#sample(this.#planes(), size), [0, 3, size * size]);
      const mixed = builder.node("Add", [builder.node("MatMul", [matrix, views]), offsets]);
      const bounds = (level: number) =>
        constant(
          builder,
          "bound",
          [1, 3, 1],
          mean.map((value, i) => (level - value) / deviation[i]!),
        );
      const clipped = builder.node("Min", [builder.node("Max", [mixed, bounds(0)]), bounds(255)]);
      return reshape(builder, clipped, [-1, 3, size, size]);
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
 * The identity view alone: no sampling where the base image already has the backbone's size.
 * @param pixels value uint8 [N, side, side, 3], RGB
 * @returns a value float32 [N, 3, inputSize, inputSize]
 */
export function identityInput(
  builder: GraphBuilder,
  pixels: string,
  side: number,
  contract: InputContract,
): string {
  const picture = normalisedPicture(builder, planesOf(builder, pixels), contract);
  return atIdentity(builder, picture, side, contract.inputSize);
}

/** @param picture value float32 [N, 3, side, side] @returns a value float32 [N, 3, size, size] */
function atIdentity(builder: GraphBuilder, picture: string, side: number, size: number): string {
  if (size === side) return picture;
  // One grid serves the whole batch when its pictures lie side by side as channels of one.
  const centres = pixelCentres(size);
  const grid = centres.flatMap((y) => centres.flatMap((x) => [x, y]));
  const points = constant(builder, `identity_grid_${size}`, [1, size, size, 2], grid);
  const together = reshape(builder, picture, [1, -1, side, side]);
  const sampled = gridSample(builder, together, inside(builder, points, side));
  return reshape(builder, sampled, [-1, 3, size, size]);
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

function normalisedPicture(builder: GraphBuilder, planes: string, contract: InputContract): string {
  const ordered = contract.channelOrder === "bgr" ? reversedChannels(builder, planes, 1) : planes;
  const { mean, deviation } = inOrder(contract);
  const centred = builder.node("Sub", [ordered, constant(builder, "mean", [1, 3, 1, 1], mean)]);
  return builder.node("Div", [centred, constant(builder, "deviation", [1, 3, 1, 1], deviation)]);
}

/** The spec's figures are per RGB channel; here they follow the network's own order. */
function inOrder({ normalization, channelOrder }: InputContract) {
  const { mean, deviation } = normalization;
  return channelOrder === "rgb"
    ? { mean: [...mean], deviation: [...deviation] }
    : { mean: mean.toReversed(), deviation: deviation.toReversed() };
}

function reversedChannels(builder: GraphBuilder, value: string, axis: number): string {
  return builder.node("Gather", [value, int64s(builder, [2, 1, 0])], { axis });
}

/**
 * Samples at points that are all `inside`. ONNX Runtime's CPU provider has a quick path for the padding "zeros" alone,
 * twice as fast as "border".
 * @param picture value float32 [.., side, side]
 */
function gridSample(builder: GraphBuilder, picture: string, grid: string): string {
  // Opset 20 renamed the mode.
  const mode = builder.opset >= 20 ? "linear" : "bilinear";
  return builder.node("GridSample", [picture, grid], { mode, padding_mode: "zeros", align_corners: 0 });
}

/** The points moved onto the outermost pixels' centres: then the edge pixel repeats outside, whatever the padding. */
function inside(builder: GraphBuilder, grid: string, side: number): string {
  const edge = 1 - 1 / side;
  return builder.node("Clip", [
    grid,
    constant(builder, `lowest_${side}`, [], [-edge]),
    constant(builder, `highest_${side}`, [], [edge]),
  ]);
}

/**
 * Of each view that has a matrix, float32 [B, 2, 2·size]. The point in row i and column j is A·(x, 0, 1) plus y times
 * A·(0, 1, 0), and these are the two rows, x and y side by side. The grid is a product with them, of rows that are long
 * enough for the runtime's vectors; those of [size², 3] times [3, 2] are not, and it took a tenth of sampling.
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
  const byView = reshape(builder, terms, [-1, viewCount, 2, 2 * size]);
  // Gather and not Split, whose outputs are all bound at once on a GPU, which allows for few.
  return Array.from({ length: viewCount - first }, (_, i) => {
    const view = builder.constant("view", "int64", [], BigInt64Array.of(BigInt(first + i)));
    return builder.node("Gather", [byView, view], { axis: 1 });
  });
}

/** Along one side, -1 and 1 at the picture's edges. */
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
