import { TrommelError, type ErrorCode } from "@trommel/common";
import type { LayerNode } from "./layers-topology.js";

/** The parts of a layer that error messages and settings need. */
type Configured = Pick<LayerNode, "name" | "className" | "config">;

export function layerError(layer: Configured, why: string, code: ErrorCode = "unsupported"): TrommelError {
  return new TrommelError(
    code,
    `cannot compile layer "${layer.name}" (${layer.className}): ${why}. ` +
      "Cut the model before it with --output, or export the model to ONNX and import that",
    { context: { layer: layer.name, type: layer.className } },
  );
}

export function numberOf(layer: Configured, key: string, fallback: number): number {
  const value = layer.config[key] ?? fallback;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw layerError(layer, `${key} is ${JSON.stringify(value)}, not a number`);
}

export function flagOf(layer: Configured, key: string, fallback: boolean): boolean {
  const value = layer.config[key] ?? fallback;
  if (typeof value === "boolean") return value;
  throw layerError(layer, `${key} is ${JSON.stringify(value)}, not true or false`);
}

export function textOf(layer: Configured, key: string, fallback: string): string {
  const value = layer.config[key] ?? fallback;
  if (typeof value === "string") return value;
  throw layerError(layer, `${key} is ${JSON.stringify(value)}, not a string`);
}

/** Height and width; a single number sets both. */
export function pairOf(
  layer: Configured,
  key: string,
  fallback: number | readonly [number, number],
): [number, number] {
  const value = layer.config[key] ?? fallback;
  if (Number.isSafeInteger(value)) return [value as number, value as number];
  if (Array.isArray(value) && value.length === 2 && value.every((item) => Number.isSafeInteger(item))) {
    return [value[0] as number, value[1] as number];
  }
  throw layerError(layer, `${key} is ${JSON.stringify(value)}, not one or two whole numbers`);
}

/** A list of whole numbers. */
export function integersOf(layer: Configured, key: string): number[] {
  const value = layer.config[key];
  const list = Array.isArray(value) ? (value as unknown[]) : [value];
  if (list.every((item): item is number => Number.isSafeInteger(item))) return list;
  throw layerError(layer, `${key} is ${JSON.stringify(value)}, not a list of whole numbers`);
}

export function checkChannelsLast(layer: Configured): void {
  const format = textOf(layer, "data_format", "channels_last");
  if (format !== "channels_last") throw layerError(layer, `data_format is ${format} (legal: channels_last)`);
}

export type EdgePairs = readonly [top: number, left: number, bottom: number, right: number];

export const noPads: EdgePairs = [0, 0, 0, 0];

/** `padding` of ZeroPadding2D and `cropping` of Cropping2D: n, [vertical, horizontal] or [[top, bottom], [left, right]]. */
export function edgesOf(layer: Configured, key: string, fallback: number): EdgePairs {
  const value: unknown = layer.config[key] ?? fallback;
  const [vertical, horizontal] = Array.isArray(value) ? (value as unknown[]) : [value, value];
  const pair = (side: unknown): [number, number] => {
    const [before, after] = Array.isArray(side) ? (side as unknown[]) : [side, side];
    if (
      Number.isSafeInteger(before) &&
      Number.isSafeInteger(after) &&
      Number(before) >= 0 &&
      Number(after) >= 0
    ) {
      return [Number(before), Number(after)];
    }
    throw layerError(layer, `${key} is ${JSON.stringify(value)}`);
  };
  const [top, bottom] = pair(vertical);
  const [left, right] = pair(horizontal);
  return [top, left, bottom, right];
}
