/** Numbers as people read them. */

export const count = (value: number): string => Math.round(value).toLocaleString("en");

export const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;

export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  const scaled = value / 1000 ** power;
  return `${power === 0 ? scaled : scaled.toPrecision(3)} ${units[power] ?? ""}`;
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.round(seconds / 86_400)} days`;
}

export function rate(perSecond: number): string {
  return perSecond >= 10 ? count(perSecond) : perSecond.toPrecision(2);
}

export function time(iso: string | null): string {
  return iso === null ? "" : new Date(iso).toLocaleString();
}
