import type { ChannelOrder, Normalization } from "@trommel/common";
import type { EmbeddingSpread } from "../checks/embedding-spread.js";
import type { PreparedBackbone } from "./prepared-backbone.js";

/** The table at the end of an import: what a wrong flag would show in. */
export function describeImport(
  { inputSize, layout, output, pooling, dimension }: PreparedBackbone,
  {
    normalization,
    channelOrder,
  }: { readonly normalization: Normalization; readonly channelOrder: ChannelOrder },
  spread: EmbeddingSpread,
): readonly string[] {
  const pooled = pooling === "none" ? "" : `, ${pooling} pooling`;
  return [
    `  size       ${inputSize} × ${inputSize} pixels`,
    `  layout     ${layout ?? `input NHWC, output ${output}${pooled}`}`,
    `  range      ${rangeOf(normalization)}, ${channelOrder.toUpperCase()}`,
    `  embedding  ${dimension} dimensions`,
    `  spread     ${spread.meanCosineDistance.toPrecision(3)}, the mean cosine distance between ${spread.images} probe images`,
  ];
}

/** What black and white become, over the channels. */
function rangeOf({ mean, deviation }: Normalization): string {
  const of = (pixel: number): number[] => mean.map((value, i) => (pixel - value) / (deviation[i] ?? 1));
  const word = (value: number): string => String(Number(value.toPrecision(3)));
  return `${word(Math.min(...of(0)))}..${word(Math.max(...of(255)))}`;
}
