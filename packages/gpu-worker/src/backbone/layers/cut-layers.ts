import { TrommelError } from "@trommel/common";
import { layerError } from "./layer-config.js";
import type { BoundLayer } from "./bound-layer.js";
import type { LayersModel } from "./layers-model.js";

/** The part of a layers model that one output depends on. */
export interface CutLayers {
  /** Sorted so that every layer comes after its inputs; the input layer is first. */
  readonly layers: readonly BoundLayer[];
  readonly input: BoundLayer;
  /** Name of the layer at which the model was cut. */
  readonly output: string;
}

/**
 * Keeps the layers that `output` depends on.
 * @param output a layer's name, with or without `:0` @default the model's only output
 * @throws TrommelError `not-found` naming the last layers, `unsupported` unless the part has exactly one input
 */
export function cutAt(model: LayersModel, output?: string): CutLayers {
  const name = output === undefined ? soleOutput(model) : resolve(model, output);
  const order: BoundLayer[] = [];
  const seen = new Set<string>();
  // Depth first with an explicit stack: a deep model would exhaust the call stack.
  const pending: { name: string; next: number }[] = [{ name, next: 0 }];
  seen.add(name);
  while (pending.length > 0) {
    const top = pending.at(-1);
    const layer = model.layers.get(top?.name ?? "");
    if (top === undefined || layer === undefined) {
      throw new TrommelError(
        "corrupt",
        `cannot read the layers model: layer "${top?.name ?? ""}" is not listed`,
      );
    }
    const input = layer.inputs[top.next++];
    if (input === undefined) {
      order.push(layer);
      pending.pop();
    } else if (!seen.has(input)) {
      seen.add(input);
      pending.push({ name: input, next: 0 });
    }
  }
  const inputs = order.filter(({ className }) => className === "InputLayer");
  const [input] = inputs;
  if (input === undefined || inputs.length !== 1) {
    throw new TrommelError(
      "unsupported",
      `cannot cut the layers model at "${name}": it depends on ${inputs.length} inputs, and a backbone has one. ` +
        "Choose another layer with --output",
    );
  }
  const others = order.filter((layer) => layer !== input);
  if (others.length === 0) throw layerError(input, "the model is cut at its input", "invalid-argument");
  return { layers: [input, ...others], input, output: name };
}

/** The layers that were kept, as a model of their own. */
export function modelOf({ layers, input, output }: CutLayers): LayersModel {
  return {
    layers: new Map(layers.map((layer) => [layer.name, layer])),
    inputs: [input.name],
    outputs: [output],
  };
}

function soleOutput(model: LayersModel): string {
  const [only, ...others] = model.outputs;
  if (only !== undefined && others.length === 0) return only;
  throw new TrommelError(
    "invalid-argument",
    `cannot cut the layers model: it has ${model.outputs.length} outputs (${model.outputs.join(", ")}). Choose a layer with --output`,
  );
}

function resolve(model: LayersModel, output: string): string {
  if (model.layers.has(output)) return output;
  const [layer = ""] = output.split(":");
  if (model.layers.has(layer)) return layer;
  const names = [...model.layers.keys()];
  throw new TrommelError(
    "not-found",
    `cannot cut the layers model: it has no layer "${output}". Choose one of its ${names.length} layers, ` +
      `the last of which are ${names.slice(-12).join(", ")}`,
  );
}
