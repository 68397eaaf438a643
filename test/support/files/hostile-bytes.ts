import assert from "node:assert/strict";
import { TrommelError } from "@trommel/common";
import fc from "fast-check";

/** Inputs for parsers as nobody's writer makes them, and what a parser may do with them. */

export const fuzzSeed = 20261122;

/** What a file of a few kilobytes may make a parser hold. */
const maxHeldBytes = 64 * 1024 * 1024;

type Mutation = (bytes: Uint8Array) => Uint8Array;

const at = (bytes: Uint8Array, fraction: number): number => Math.floor(fraction * bytes.length);
const fraction = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });

const lengths = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fraction.map(
    (cut): Mutation =>
      (bytes) =>
        bytes.slice(0, at(bytes, cut)),
  ),
  fc.tuple(fraction, fc.integer({ min: 1, max: 255 })).map(
    ([place, flip]): Mutation =>
      (bytes) =>
        bytes.map((byte, i) => (i === at(bytes, place) ? byte ^ flip : byte)),
  ),
  // A length, a count or an offset, wherever it stands and however it is written.
  fc
    .tuple(fraction, fc.constantFrom(...lengths), fc.constantFrom(1, 2, 4, 8), fc.boolean())
    .map(([place, value, width, little]): Mutation => (bytes) => {
      const changed = bytes.slice();
      const start = at(bytes, place);
      for (let i = 0; i < width; i += 1) {
        const shift = little ? i : width - 1 - i;
        if (start + i < changed.length)
          changed[start + i] = shift < 4 ? (value >>> (8 * shift)) & 0xff : 0xff;
      }
      return changed;
    }),
  fc.tuple(fraction, fraction, fraction).map(([from, to, place]): Mutation => (bytes) => {
    const [start, end] = [at(bytes, Math.min(from, to)), at(bytes, Math.max(from, to))];
    return Buffer.concat([
      bytes.slice(0, at(bytes, place)),
      bytes.slice(start, end),
      bytes.slice(at(bytes, place)),
    ]);
  }),
  fc.tuple(fraction, fc.constantFrom(...'{}[]"\\,:&*|<>\n\r\t\0 é\u2028'.split(""))).map(
    ([place, text]): Mutation =>
      (bytes) =>
        Buffer.concat([bytes.slice(0, at(bytes, place)), Buffer.from(text), bytes.slice(at(bytes, place))]),
  ),
);

/** Random bytes, and valid files with up to four things wrong with them. */
export function hostileBytes(...valid: readonly (Uint8Array | string)[]): fc.Arbitrary<Uint8Array> {
  const files = valid.map((file) => (typeof file === "string" ? Buffer.from(file) : file));
  const damaged = fc
    .tuple(fc.constantFrom(...files), fc.array(mutation, { minLength: 1, maxLength: 4 }))
    .map(([file, mutations]) => mutations.reduce((bytes, mutate) => mutate(bytes), file));
  return fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
    { weight: 6, arbitrary: damaged },
  );
}

const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    "",
    "\0",
    "../../x",
    "__proto__",
    "constructor",
    -1,
    0.5,
    1e308,
    2 ** 53,
    [],
    {},
  ),
  fc.jsonValue({ maxDepth: 2 }),
  fc
    .constantFrom("__proto__", "constructor", "toString")
    .map((name) => JSON.parse(`{"${name}": {"a": 1}}`) as unknown),
  fc.constant(Array.from({ length: 1000 }, () => 7)),
);

/** A JSON value with one to three of its parts replaced, removed, or given a sibling of a hostile name. */
export function hostileJson(...valid: readonly unknown[]): fc.Arbitrary<unknown> {
  const change = fc.tuple(
    fc.array(fc.nat(20), { maxLength: 4 }),
    fc.constantFrom("set", "drop", "add"),
    hostileValue,
  );
  return fc
    .tuple(fc.constantFrom(...valid), fc.array(change, { minLength: 1, maxLength: 3 }))
    .map(([value, changes]) =>
      changes.reduce((now, [path, how, given]) => changed(now, path, how, given), value),
    );
}

function changed(value: unknown, [step, ...rest]: readonly number[], how: string, given: unknown): unknown {
  if (step === undefined || typeof value !== "object" || value === null) return given;
  const entries = Object.entries(value);
  const index = step % Math.max(1, entries.length);
  const entry = entries[index];
  if (entry === undefined) return given;
  if (rest.length > 0) entries[index] = [entry[0], changed(entry[1], rest, how, given)];
  else if (how === "set") entries[index] = [entry[0], given];
  else if (how === "drop") entries.splice(index, 1);
  else entries.push([typeof given === "string" ? given : "constructor", given]);
  return Array.isArray(value)
    ? entries.map(([, item]): unknown => item as unknown)
    : Object.fromEntries(entries);
}

/**
 * Runs a parser: it gives a value, or throws an error of ours that is meant for whoever gave the input, and holds no
 * more than is reasonable. @returns the value, or undefined where it was refused
 */
export function parsesOrRefuses<T>(parse: () => T): T | undefined {
  const held = process.memoryUsage().arrayBuffers;
  try {
    return parse();
  } catch (thrown) {
    refusedAsOurs(thrown);
    return undefined;
  } finally {
    const grown = process.memoryUsage().arrayBuffers - held;
    assert.ok(grown < maxHeldBytes, `it took ${grown} bytes`);
  }
}

export async function parsesOrRefusesLater<T>(parse: () => Promise<T>): Promise<T | undefined> {
  try {
    return await parse();
  } catch (thrown) {
    refusedAsOurs(thrown);
    return undefined;
  }
}

function refusedAsOurs(thrown: unknown): void {
  assert.ok(
    thrown instanceof TrommelError,
    `it threw ${String(thrown)} ${thrown instanceof Error ? thrown.stack : ""}`,
  );
  assert.notEqual(thrown.code, "internal", thrown.message);
}

/** Nothing that was parsed may have changed what every object has. */
export function checkPrototypes(): void {
  const polluted = { ...Object.create(Object.prototype) } as Record<string, unknown>;
  assert.equal(polluted["a"], undefined);
  assert.deepEqual(Object.keys(Object.prototype), []);
}
