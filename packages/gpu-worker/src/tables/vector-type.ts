import { TrommelError } from "@trommel/common";
import { fromFloat16, toFloat16 } from "@trommel/common/codec";

/**
 * The numbers nearest to some that a vector's type has.
 * @param remedy how to have float32 numbers, which is the advice for those that float16 cannot hold
 * @throws TrommelError `unsupported` for such a number, `corrupt` for one that is not finite
 */
export function roundedTo(type: "f16" | "f32", values: Float32Array, remedy: string): Float32Array {
  const broken = values.find((value) => !Number.isFinite(value));
  if (broken !== undefined)
    throw new TrommelError(
      "corrupt",
      `cannot write embeddings: one of their numbers is ${broken}. Check the backbone's weights, and the featureType of the recipe: f16 ends at 65504`,
    );
  if (type === "f32") return values;
  const rounded = fromFloat16(toFloat16(values));
  const beyond = rounded.findIndex((value) => !Number.isFinite(value));
  if (beyond < 0) return rounded;
  throw new TrommelError(
    "unsupported",
    `cannot write embeddings as f16: one of their numbers is ${values[beyond]}, and float16 ends at 65504. ${remedy}`,
  );
}
