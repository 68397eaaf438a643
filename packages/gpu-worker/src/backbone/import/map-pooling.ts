import { TrommelError, poolings, type OutputPooling, type Pooling } from "@trommel/common";

/**
 * The pooling of a layers model, whose output is a map or a vector.
 * @throws TrommelError `invalid-argument` for a pooling of tokens
 */
export function mapPooling(pooling: OutputPooling | undefined): { readonly pooling?: Pooling } {
  if (pooling === undefined) return {};
  const found = poolings.find((one) => one === pooling);
  if (found !== undefined) return { pooling: found };
  throw new TrommelError(
    "invalid-argument",
    `cannot import the backbone with --pooling ${pooling}: it is for ONNX encoders whose output is tokens. Use --pooling ${poolings.join(" or ")}`,
  );
}
