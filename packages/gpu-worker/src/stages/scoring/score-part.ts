import {
  markerSchema,
  shardOutcome,
  TrommelError,
  type FailedImage,
  type ObjectStore,
  type ScoreFormat,
  type ScoringConfig,
  type Shard,
} from "@trommel/common";
import { okKeys } from "@trommel/common/artefacts";
import { findCommitted } from "@trommel/common/codec";
import type { z } from "zod";
import { partCounts } from "./label-counts.js";

/** The marker of a score part's JSON lines. */
export const scorePartMarker = markerSchema.extend({ ...shardOutcome.shape, labels: partCounts });
export type ScorePartMarker = z.infer<typeof scorePartMarker>;

/** The marker of a shard's JSON lines, if they and the parts of every other format are committed. */
export async function findScored(
  output: ObjectStore,
  keyOf: (format: ScoreFormat) => string,
  { formats }: ScoringConfig,
): Promise<ScorePartMarker | undefined> {
  const scored = await findCommitted(output, keyOf("jsonl"), scorePartMarker);
  for (const format of formats) {
    if (scored === undefined) return undefined;
    if (format === "jsonl") continue;
    if ((await findCommitted(output, keyOf(format))) === undefined) return undefined;
  }
  return scored;
}

/**
 * Checks the keys of an artefact's rows against its shard.
 * @throws TrommelError `corrupt` if they are not the keys of the images that did not fail, each once and in order
 */
export function checkImageKeys(
  name: string,
  keys: readonly string[],
  shard: Shard,
  failed: readonly FailedImage[],
): void {
  const expected = okKeys(shard, failed);
  const at = expected.findIndex((key, i) => keys[i] !== key);
  if (at < 0 && keys.length === expected.length) return;
  const found = at < 0 ? `${keys.length} rows` : `${JSON.stringify(keys[at] ?? null)} as row ${at}`;
  const right = at < 0 ? `${expected.length}` : JSON.stringify(expected[at]);
  throw new TrommelError(
    "corrupt",
    `cannot balance ${name}: it has ${found}, and shard ${shard.index} has ${right}. Remove it and its marker and resume`,
    { context: { name, shard: shard.index } },
  );
}
