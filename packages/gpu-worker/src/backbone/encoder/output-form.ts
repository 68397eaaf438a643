import {
  TrommelError,
  poolings,
  type AxisOrder,
  type OutputPooling,
  type TokenPooling,
} from "@trommel/common";
import type { ModelProto } from "../../graph/onnx/onnx-proto.js";
import { prefixTokens } from "./patch-grid.js";
import { refuse } from "./refuse.js";
import { ChannelTrace } from "./trace-channels.js";

/** What the encoder's output is, and how it becomes an embedding. */
export type OutputForm =
  | { readonly kind: "vector"; readonly dimension: number; readonly isFlat: boolean }
  | {
      readonly kind: "map";
      readonly dimension: number;
      readonly order: AxisOrder;
      readonly pooling: "average" | "max";
    }
  | {
      readonly kind: "tokens";
      readonly dimension: number;
      readonly order: AxisOrder;
      readonly pooling: TokenPooling;
      readonly prefix: number;
    };

export interface SeenOutput {
  readonly model: ModelProto;
  readonly output: string;
  readonly input: { readonly name: string; readonly order: AxisOrder; readonly size: number };
  /** Shape for one image of `input.size`. */
  readonly dims: readonly number[];
  /** Shapes for other sizes, as far as the graph accepts them. */
  readonly otherDims: readonly (readonly number[])[];
}

export interface FormChoices {
  readonly outputLayout?: AxisOrder;
  readonly pooling?: OutputPooling;
  readonly prefixTokens?: number;
  /** The pooling that the encoder's configuration asks for, if its output has tokens. */
  readonly usualPooling?: TokenPooling;
}

/**
 * @throws TrommelError `unsupported` for a shape that is no embedding, map or list of tokens, `invalid-argument` if a flag must
 *   say what the graph does not
 */
export function outputForm(seen: SeenOutput, choices: FormChoices): OutputForm {
  const { dims, output } = seen;
  const [batch, ...axes] = dims;
  if (batch !== 1 || axes.length < 1 || axes.length > 3 || axes.includes(0)) {
    throw refuse(
      `its tensor ${output} has the shape [${dims.join(", ")}] for one image (legal: [N, D], a map [N, D, H, W], tokens [N, T, D]). ` +
        "Choose another tensor with --output",
    );
  }
  const wide = axes.filter((axis) => axis > 1);
  // With one pixel or one token both orders are the same.
  if (axes.length === 1 || (wide.length <= 1 && choices.outputLayout === undefined))
    return {
      kind: "vector",
      dimension: axes.length === 1 ? (axes[0] ?? 1) : (wide[0] ?? 1),
      isFlat: axes.length === 1,
    };
  const order = orderOf(seen, choices.outputLayout);
  const dimension = (order === "nchw" ? axes[0] : axes.at(-1)) ?? 1;
  if (axes.length === 3)
    return { kind: "map", dimension, order, pooling: mapPooling(choices.pooling, output) };
  const tokens = (order === "nchw" ? axes[1] : axes[0]) ?? 1;
  return { kind: "tokens", order, ...tokenPooling(seen, choices, tokens, dimension) };
}

/** By the flag, else by what the graph shows; never by the layout of the input. */
function orderOf(seen: SeenOutput, stated: AxisOrder | undefined): AxisOrder {
  if (stated !== undefined) return stated;
  const bySize = orderBySizes(seen);
  const byGraph = orderByGraph(seen);
  const named = seen.output === "last_hidden_state" && seen.dims.length === 3 ? "nhwc" : undefined;
  const found = new Set([bySize, byGraph].filter((order) => order !== undefined));
  const [order = named] = found;
  if (order !== undefined && found.size <= 1) return order;
  const why =
    found.size > 1 ? "its operators and its shapes for two sizes disagree about" : "its graph does not say";
  throw new TrommelError(
    "invalid-argument",
    `cannot import the encoder: its tensor ${seen.output} is [N, ${seen.dims.slice(1).join(", ")}], and ${why} which axis holds the channels. ` +
      "Say it with --output-layout: nchw (channels first) or nhwc (channels last)",
  );
}

/** An axis that changes with the size of the image is spatial; the one that stays holds the channels. */
function orderBySizes({ dims, otherDims }: SeenOutput): AxisOrder | undefined {
  for (const other of otherDims) {
    if (other.length !== dims.length) continue;
    const changed = dims.map((axis, at) => axis !== other[at]);
    const count = changed.filter(Boolean).length;
    if (count !== dims.length - 2) continue;
    if (changed[1] === false) return "nchw";
    if (changed.at(-1) === false) return "nhwc";
  }
  return undefined;
}

function orderByGraph({ model, input, output, dims }: SeenOutput): AxisOrder | undefined {
  const rank = dims.length;
  const trace = new ChannelTrace(model, rank, [input.name, input.order === "nchw" ? -3 : -1]);
  const axis = trace.axisOf(output);
  if (axis === -1) return "nhwc";
  return axis === 1 - rank ? "nchw" : undefined;
}

function mapPooling(pooling: OutputPooling | undefined, output: string): "average" | "max" {
  const chosen = poolings.find((one) => one === (pooling ?? "average"));
  if (chosen !== undefined) return chosen;
  throw new TrommelError(
    "invalid-argument",
    `cannot import the encoder with --pooling ${pooling ?? ""}: its tensor ${output} is a map, which has no tokens. Use --pooling ${poolings.join(" or ")}`,
  );
}

function tokenPooling(
  { model, input, output }: SeenOutput,
  { pooling, usualPooling, prefixTokens: stated }: FormChoices,
  tokens: number,
  dimension: number,
): { pooling: TokenPooling; prefix: number; dimension: number } {
  const prefix = stated ?? prefixTokens(model, input.size, tokens);
  const chosen = pooling ?? usualPooling;
  const what = `its tensor ${output} is ${tokens} tokens of ${dimension} values${prefix === undefined ? "" : `, ${prefix} of them before the patches'`}`;
  const illegal = (why: string): TrommelError =>
    new TrommelError("invalid-argument", `cannot import the encoder: ${what}. ${why}`);
  if (chosen === undefined || chosen === "average" || chosen === "max") {
    throw illegal(
      `${chosen === undefined ? "Choose" : `--pooling ${chosen} is for maps: choose`} how they become one embedding: --pooling cls (the class token), mean (of the patches' tokens) or cls+mean (both side by side)`,
    );
  }
  if (prefix !== undefined && prefix >= tokens)
    throw illegal(`--prefix-tokens must leave some for the patches`);
  if (chosen !== "mean" && prefix === 0)
    throw illegal(`It has no class token for --pooling ${chosen}: use --pooling mean`);
  if (chosen !== "cls" && prefix === undefined) {
    throw illegal(
      `Its graph does not show how many of them are class tokens and registers, which the mean leaves out: say it with --prefix-tokens (1 for a class token alone, 0 for none)`,
    );
  }
  return {
    pooling: chosen,
    prefix: prefix ?? 1,
    dimension: chosen === "cls+mean" ? 2 * dimension : dimension,
  };
}
