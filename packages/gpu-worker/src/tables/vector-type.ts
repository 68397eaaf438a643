import { TrommelError } from "@trommel/common";
import { fromFloat16, toFloat16 } from "@trommel/common/codec";

/**
 * The numbers nearest to some that a vector's type has.
 * @param remedy what to do for numbers that float16 cannot hold
 * @throws TrommelError `unsupported` for such a number
 */
export function roundedTo(type: "f16" | "f32", values: Float32Array, remedy: string): Float32Array {
  const rounded = type === "f32" ? values : fromFloat16(toFloat16(values));
  const beyond = rounded.findIndex((value) => !Number.isFinite(value));
  if (beyond < 0) return rounded;
  throw new TrommelError(
    "unsupported",
    `cannot write embeddings as ${type}: one of their numbers is ${values[beyond]}, and float16 ends at 65504. ${remedy}`,
  );
}
