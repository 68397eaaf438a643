import { z } from "zod";

/** A choice of several kinds that names none is the default one. */
export function defaultType<T extends z.ZodType>(type: string, union: T) {
  return z.preprocess((value) => {
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject && !("type" in value) ? { type, ...value } : value;
  }, union);
}
