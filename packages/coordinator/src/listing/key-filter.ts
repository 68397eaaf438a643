import type { Shard, SkipReason } from "@trommel/common";
import { isLitter } from "@trommel/common/artefacts";
import type { AskedPatterns } from "@trommel/common/recipe";
import picomatch from "picomatch";

/** Why an object is not processed. One that a pattern or a sample left out is counted, and not named. */
export type Skip =
  | { readonly reason: Exclude<SkipReason, "excluded" | "not-included" | "not-sampled"> }
  | { readonly reason: "not-included" | "not-sampled" }
  | { readonly reason: "excluded"; readonly pattern: string };

interface Pattern {
  readonly text: string;
  readonly matches: (key: string) => boolean;
}

const hidden: Skip = { reason: "hidden" };
const litter: Skip = { reason: "litter" };
const notIncluded: Skip = { reason: "not-included" };

/**
 * What of a listing is never read, by its keys alone: what systems leave and hidden files, then what no pattern of `include` matches,
 * then what one of `exclude` does.
 */
export class KeyFilter {
  readonly #include: readonly Pattern[];
  readonly #exclude: readonly Pattern[];
  /** Patterns of `include` that have matched no key so far. */
  readonly #unmet: Set<Pattern>;

  constructor({ include = [], exclude = [] }: AskedPatterns = {}) {
    this.#include = include.map(compile);
    this.#exclude = exclude.map(compile);
    this.#unmet = new Set(this.#include);
  }

  /** Whether the patterns leave nothing out. */
  get isOpen(): boolean {
    return this.#include.length === 0 && this.#exclude.length === 0;
  }

  /** @returns undefined for a key that is processed */
  skip(key: string): Skip | undefined {
    return skipByName(key) ?? this.skipByPattern(key);
  }

  /** By the patterns alone. */
  skipByPattern(key: string): Skip | undefined {
    if (this.isOpen) return undefined;
    const normal = key.normalize("NFC");
    if (this.#include.length > 0 && !this.#isIncluded(normal)) return notIncluded;
    const pattern = this.#exclude.find(({ matches }) => matches(normal));
    return pattern === undefined ? undefined : { reason: "excluded", pattern: pattern.text };
  }

  /** Takes a shard that was listed before, so that its keys count for {@link withoutEffect} too. */
  note({ entries }: Pick<Shard, "entries">): void {
    for (const { key } of entries) {
      if (this.#unmet.size === 0) return;
      this.#isIncluded(key.normalize("NFC"));
    }
  }

  /**
   * The patterns that changed nothing, of a listing that is complete.
   * @param excluded keys that each pattern of `exclude` left out
   */
  withoutEffect(excluded: Readonly<Record<string, number>>): { include: string[]; exclude: string[] } {
    return {
      include: [...this.#unmet].map(({ text }) => text),
      exclude: this.#exclude.flatMap(({ text }) => (Object.hasOwn(excluded, text) ? [] : [text])),
    };
  }

  #isIncluded(key: string): boolean {
    let isIncluded = false;
    // Each pattern is tried as long as it has matched nothing.
    for (const pattern of this.#unmet) {
      if (!pattern.matches(key)) continue;
      this.#unmet.delete(pattern);
      isIncluded = true;
    }
    return isIncluded || this.#include.some(({ matches }) => matches(key));
  }
}

/** What systems leave, and hidden files and folders, are never pictures of a collection: `@eaDir/`, `.trommel/`. */
export function skipByName(key: string): Skip | undefined {
  if (isLitter(key)) return litter;
  return key.startsWith(".") || key.includes("/.") ? hidden : undefined;
}

/**
 * A pattern with a slash matches the key below the prefix, one without matches the file's name in any folder, and one that ends in a
 * slash all that lies in such a folder.
 */
function compile(text: string): Pattern {
  const normal = text.normalize("NFC");
  const glob = normal.endsWith("/") ? `${normal}**` : normal;
  const expression = picomatch.makeRe(glob, { dot: true, nonegate: true });
  if (glob.includes("/")) return { text, matches: (key) => expression.test(key) };
  return { text, matches: (key) => expression.test(key.slice(key.lastIndexOf("/") + 1)) };
}
