import { TrommelError, namedNormalizations, type Normalization } from "@trommel/common";
import type { ModelProto } from "../../graph/onnx/onnx-proto.js";
import { ownPreprocessing } from "./own-preprocessing.js";

export interface NormalizationChoice {
  /** What the caller or the source's catalogue asks for. */
  readonly normalization?: Normalization;
  /** Keeps it although the network normalises its pixels itself. @default false */
  readonly forceNormalization?: boolean;
}

/**
 * The normalisation of a network that comes with its own layers. Pixels that are normalised before and inside the network
 * give embeddings that look like any others and are worth little.
 * @param image the name of its image input
 * @throws TrommelError `invalid-argument` for a normalisation that comes on top of the network's own, unless forced
 */
export function settleNormalization(
  model: ModelProto,
  image: string,
  { normalization, forceNormalization = false }: NormalizationChoice,
  log: (line: string) => void,
): Normalization {
  const own = ownPreprocessing(model, image);
  if (own === undefined) return normalization ?? namedNormalizations.tf;
  const name = own.expects === "0..255" ? "none" : "unit";
  const fitting = namedNormalizations[name];
  const what = `the network begins with its own normalisation (${own.operators.join(", ")}) and expects pixels in ${own.expects}`;
  if (normalization === undefined || isSame(normalization, fitting)) {
    log(`${what}: --normalize is ${name}`);
    return fitting;
  }
  if (forceNormalization) {
    log(`warning: ${what}; it gets another range, because --force-normalize says so`);
    return normalization;
  }
  throw new TrommelError(
    "invalid-argument",
    `cannot import the backbone: ${what}, and the normalisation asked for is the mean ${normalization.mean.join(", ")} and the deviation ${normalization.deviation.join(", ")}, which would come on top. ` +
      `Use --normalize ${name}, or add --force-normalize to keep it`,
  );
}

function isSame(one: Normalization, other: Normalization): boolean {
  return one.mean.join() === other.mean.join() && one.deviation.join() === other.deviation.join();
}
