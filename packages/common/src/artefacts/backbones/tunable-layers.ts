import { TrommelError } from "../../errors.js";
import type { StoredLayer } from "./trained-layers.js";

/** Layer types that a network may have and that no gradient is carried through; serving knows them. */
export const untunableClasses: ReadonlySet<string> = new Set([
  ...["GroupNormalization", "PReLU", "ELU", "ThresholdedReLU", "Softmax", "UpSampling2D"],
  ...["Subtract", "Maximum", "Minimum", "Permute", "Rescaling"],
]);

/** The same of activations, by their canonical names. */
export const untunableActivations: ReadonlySet<string> = new Set([
  ...["selu", "gelu", "softmax", "softsign", "mish"],
]);

/**
 * Refuses a network in which a layer that trains, or one behind it, has no gradient. What comes before every trained layer is computed as serving
 * does, and may be anything.
 * @param backbone its id, for the message
 * @throws TrommelError `unsupported` naming the first such layer
 */
export function refuseUntunable(
  backbone: string,
  layers: readonly StoredLayer[],
  trained: ReadonlySet<string>,
): void {
  const reached = new Set<string>();
  for (const { name, className, inputs, activation, isUnusualRelu } of layers) {
    if (!trained.has(name) && !inputs.some((input) => reached.has(input))) continue;
    reached.add(name);
    const what = untunableClasses.has(className)
      ? className
      : untunableActivations.has(activation)
        ? `${className} with the activation ${activation}`
        : isUnusualRelu
          ? "ReLU with a slope, a threshold or a bound other than 6"
          : undefined;
    if (what === undefined) continue;
    const isTrained = trained.has(name);
    throw new TrommelError(
      "unsupported",
      `cannot tune the backbone ${backbone}: its layer ${JSON.stringify(name)} (${what}) ${isTrained ? "would train" : "follows a layer that would train"} and has no gradient. Set tune.blocks to blocks behind it, or leave --tune out`,
      { context: { layer: name, type: className } },
    );
  }
}
