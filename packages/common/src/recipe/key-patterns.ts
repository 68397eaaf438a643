import { z } from "zod";

/** A glob over keys below the prefix. */
const keyPattern = z
  .string()
  .min(1)
  .max(1000)
  .refine((text) => !text.startsWith("/"), "keys begin below the prefix: leave the first / out")
  .refine(
    (text) => !/^!(?!\()/u.test(text),
    "a pattern cannot begin with !; say what is taken by include instead",
  );

/** Patterns that say which keys are listed. */
export const keyPatterns = z
  .array(keyPattern)
  .refine((of) => new Set(of).size === of.length, "a pattern is named twice");

/** Which keys are listed: what a pattern of `include` matches (without one: all), and no pattern of `exclude`. */
export interface KeyPatterns {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

/** Those that were asked for; what is absent leaves nothing out. */
export type AskedPatterns = { readonly [Part in keyof KeyPatterns]?: KeyPatterns[Part] | undefined };
