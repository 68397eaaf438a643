import { runKeys, type ObjectStore } from "@trommel/common";
import { keptRound, type RoundFigures } from "@trommel/common/artefacts";
import { markerKeyOf } from "@trommel/common/codec";
import type { TuningRun } from "./tuning-run.js";

/**
 * Removes what no later round starts from: the changes of a round that is merged, and all checkpoints but the last two and the one
 * that becomes the backbone.
 * @param figures of the rounds so far
 */
export async function removeSuperseded(
  store: ObjectStore,
  { config, tune, rounds }: TuningRun,
  figures: readonly RoundFigures[],
): Promise<void> {
  const { tuning } = runKeys(config.id);
  const merged = figures.length - 1;
  const changes = Array.from({ length: rounds.replicas }, (_, replica) => tuning.change(merged, replica));
  const kept = new Set([merged, merged + 1, keptRound(figures, tune.keep) + 1].map(tuning.checkpoint));
  const gone = new Set<string>();
  for await (const { key } of store.list(tuning.checkpoints)) {
    const data = key.replace(/\.json$/, "");
    // Another worker that lost its lock may be writing later ones.
    if (data < tuning.checkpoint(merged) && !kept.has(data)) gone.add(data);
  }
  const all = [...changes, ...gone];
  // The marker first: what has none does not exist, however far the removal comes.
  await store.delete(all.map(markerKeyOf));
  await store.delete(all);
}
