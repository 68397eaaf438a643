import { TrommelError } from "@trommel/common";

/** @param why may end with what to do, after a full stop */
export function refuse(why: string, cause?: unknown): TrommelError {
  return new TrommelError(
    "unsupported",
    `cannot import the encoder: ${why}`,
    cause === undefined ? {} : { cause },
  );
}
