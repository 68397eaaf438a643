/** Dates and timestamps as texts that lose nothing: JSON has no type for them, and `Date` has no microseconds. */

/** The unit of a count since 1970. */
type Unit = "ms" | "us" | "ns";

const perMillisecond: Readonly<Record<Unit, bigint>> = { ms: 1n, us: 1_000n, ns: 1_000_000n };
const digitsOf: Readonly<Record<Unit, number>> = { ms: 0, us: 3, ns: 6 };

/**
 * ISO 8601 in UTC with milliseconds, and with the digits after these where they are not zero: `2026-01-02T03:04:05.678Z`,
 * `2026-01-02T03:04:05.678901Z`.
 * @throws RangeError beyond the years that `Date` has
 */
export function instantText(count: bigint, unit: Unit): string {
  const per = perMillisecond[unit];
  const below = ((count % per) + per) % per;
  const text = new Date(Number((count - below) / per)).toISOString();
  return below === 0n ? text : `${text.slice(0, -1)}${String(below).padStart(digitsOf[unit], "0")}Z`;
}

/**
 * The count since 1970 that {@link instantText} wrote; the `Z` may be missing.
 * @returns undefined for another text, and one with digits below the unit
 */
export function instantOf(text: string, unit: Unit): bigint | undefined {
  const [, seconds, millis, below = ""] = /^(.+T\d\d:\d\d:\d\d)\.(\d{3})(\d*)Z?$/.exec(text) ?? [];
  const time = Date.parse(`${seconds}.${millis}Z`);
  if (Number.isNaN(time) || /[^0]/.test(below.slice(digitsOf[unit]))) return undefined;
  const digits = below.slice(0, digitsOf[unit]).padEnd(digitsOf[unit], "0");
  return BigInt(time) * perMillisecond[unit] + BigInt(digits);
}

const dayMs = 86_400_000;

/** @param days since 1970 @returns `2026-01-02` */
export function dateText(days: number): string {
  return new Date(days * dayMs).toISOString().slice(0, -"T00:00:00.000Z".length);
}

/** The days since 1970 that {@link dateText} wrote; undefined for another text. */
export function daysOf(text: string): number | undefined {
  const time = Date.parse(`${text}T00:00:00.000Z`);
  return Number.isNaN(time) ? undefined : time / dayMs;
}
