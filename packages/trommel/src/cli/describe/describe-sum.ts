import type { GarbageSum, Ledger } from "../../index.js";
import { counted } from "./counted.js";

/** Objects and what they take, for people. */
export function describeSum({ objects, sizeBytes }: GarbageSum): string {
  return `${counted(objects, "object")}, ${formatBytes(sizeBytes)}`;
}

function formatBytes(sizeBytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let value = sizeBytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  if (unit === 0) return counted(value, "byte");
  return `${value.toFixed(1)} ${units[unit]}`;
}

/** Both sides of a ledger. */
export function describeLedger(
  sums: Pick<Ledger, "listed" | "ok" | "failed" | "skipped" | "unchanged">,
): string {
  const { listed, ok, failed, skipped, unchanged } = sums;
  const kept = unchanged === undefined ? "" : ` + ${unchanged} unchanged`;
  return `${listed} listed = ${ok} ok + ${failed} failed + ${skipped} skipped${kept}`;
}
