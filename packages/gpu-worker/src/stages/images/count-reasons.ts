import type { FailedImage } from "@trommel/common";

/** How many images have each reason. */
export function countReasons(failed: readonly Pick<FailedImage, "reason">[]): Record<string, number> {
  const reasons: Record<string, number> = {};
  for (const { reason } of failed) reasons[reason] = (reasons[reason] ?? 0) + 1;
  return reasons;
}
