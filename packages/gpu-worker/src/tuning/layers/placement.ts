import { placeWindow } from "../../backbone/compile/emit-convolution.js";
import type { BoundLayer } from "../../backbone/layers/bound-layer.js";
import { pairOf, type EdgePairs } from "../../backbone/layers/layer-config.js";
import type { Geometry } from "../tape/geometry.js";
import type { Weight } from "../tape/tape.js";
import type { Value } from "../values/value.js";

/** How a convolution's kernel slides over its input, as TensorFlow places it. @param rest zeros around the input that are still pending */
export function geometryOf(
  layer: BoundLayer,
  input: Value,
  kernel: Weight,
  rest: { readonly groups: number; readonly around: EdgePairs },
): Geometry {
  const [, , height = 0, width = 0] = kernel.shape;
  const window = {
    kernel: [height, width],
    strides: pairOf(layer, "strides", 1),
    dilations: pairOf(layer, "dilation_rate", 1),
  } as const;
  return placed(layer, input, window, rest);
}

/** The same of any window. */
export function placed(
  layer: BoundLayer,
  input: Value,
  window: Pick<Geometry, "kernel" | "strides" | "dilations">,
  { groups, around }: { readonly groups: number; readonly around: EdgePairs },
): Geometry {
  const [, , height = 0, width = 0] = input.shape;
  const size = [height + around[0] + around[2], width + around[1] + around[3]] as const;
  const { pads, height: down, width: across } = placeWindow({ layer }, size, window, around);
  return { ...window, pads, groups, input: [height, width], output: [down, across] };
}
