import type { Missing } from "./peer.js";
import type { BenchRow } from "../result.js";
import { showSpread, spreadOf } from "../measure/statistics.js";

export interface Figure {
  /** The figure and its unit. */
  readonly what: string;
  /** One value per turn. */
  readonly own: readonly number[];
  /** One value per turn, beside `own`, or why there is none. */
  readonly anchor?: readonly number[] | Missing;
  /**
   * Which way the ratio goes, so that more is better: `own/anchor` for rates, `anchor/own` for times.
   * @default "own/anchor"
   */
  readonly ratio?: "own/anchor" | "anchor/own";
  /** Bounds of the median: of the ratio where there is an anchor, of our own figure where there is none. */
  readonly atLeast?: number;
  readonly atMost?: number;
  /**
   * Decimals of `own` and of `anchor`.
   * @default 1
   */
  readonly digits?: number;
}

/** A row whose ratio is taken turn by turn, since both sides of a turn met the same load. */
export function comparisonRow(figure: Figure): BenchRow {
  const { what, own, anchor, digits = 1 } = figure;
  const row = { what, value: show(own, digits), ...targetOf(figure) };
  if (anchor === undefined) return { ...row, ...verdict(figure, own), repetitions: { own } };
  if ("missing" in anchor)
    return { ...row, anchor: `not installed: ${anchor.missing}`, repetitions: { own } };
  const ratio = own.map((value, turn) => turnRatio(figure, value, anchor[turn]));
  return {
    ...row,
    anchor: show(anchor, digits),
    ratio: show(ratio, 3),
    ...verdict(figure, ratio),
    repetitions: { own, anchor, ratio },
  };
}

function turnRatio({ what, ratio = "own/anchor" }: Figure, own: number, anchor: number | undefined): number {
  if (anchor === undefined) throw new RangeError(`${what}: the anchor has fewer turns than we have`);
  return ratio === "own/anchor" ? own / anchor : anchor / own;
}

function show(values: readonly number[], digits: number): string {
  return values.length === 1 ? (values[0] ?? 0).toFixed(digits) : showSpread(spreadOf(values), digits);
}

function targetOf({ atLeast, atMost }: Figure): Pick<BenchRow, "target"> {
  const bounds = [
    ...(atLeast === undefined ? [] : [`≥ ${atLeast}`]),
    ...(atMost === undefined ? [] : [`≤ ${atMost}`]),
  ];
  return bounds.length === 0 ? {} : { target: bounds.join(", ") };
}

function verdict({ atLeast, atMost }: Figure, values: readonly number[]): Pick<BenchRow, "reached"> {
  if (atLeast === undefined && atMost === undefined) return {};
  const { median } = spreadOf(values);
  return { reached: median >= (atLeast ?? -Infinity) && median <= (atMost ?? Infinity) };
}
