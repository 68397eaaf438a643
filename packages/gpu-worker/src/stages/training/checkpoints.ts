import { runKeys, writeWithMarker, type ObjectStore } from "@trommel/common";
import { findCommitted, readInput, unlessMissing } from "@trommel/common/codec";
import type { Checkpoints } from "../../head/training-state.js";

/**
 * The checkpoints of a run's training, `head/checkpoints/<epoch>.safetensors` each with its marker. During training
 * the last one and the best one are kept; in the end {@link keepCheckpoint} leaves only the best.
 */
export function storedCheckpoints(store: ObjectStore, runId: string): Checkpoints {
  const keys = runKeys(runId);
  return {
    async load() {
      for (const [, key] of (await checkpointKeys(store, runId)).reverse()) {
        // Without a marker its writer died half way; the one before has not been removed then.
        if ((await findCommitted(store, key)) === undefined) continue;
        // A damaged one is removed, and training continues from the one before, to the same bytes.
        const read = await unlessMissing(readInput(store, key));
        if (read !== undefined) return { name: key, bytes: read.bytes };
      }
      return undefined;
    },
    async save(number, bestEpoch, bytes) {
      await writeWithMarker(store, keys.checkpoint(number), bytes);
      // Another worker that lost its lock may be writing later ones.
      await removeOthers(store, runId, [bestEpoch], number);
    },
  };
}

/** Removes every checkpoint of a run but one. */
export async function keepCheckpoint(store: ObjectStore, runId: string, bestEpoch: number): Promise<void> {
  await removeOthers(store, runId, [bestEpoch]);
}

async function removeOthers(
  store: ObjectStore,
  runId: string,
  kept: readonly number[],
  below = Number.POSITIVE_INFINITY,
): Promise<void> {
  const stay = new Set(kept.map((number) => runKeys(runId).checkpoint(number)));
  const all = await checkpointKeys(store, runId);
  const go = all.flatMap(([number, key]) => (number < below && !stay.has(key) ? [key] : []));
  // The marker first: what has none does not exist, however far the removal comes.
  if (go.length > 0) await store.delete(go.map((key) => `${key}.json`));
  if (go.length > 0) await store.delete(go);
}

/** Keys of all that is there, whole or not, by rising number. */
async function checkpointKeys(store: ObjectStore, runId: string): Promise<[number: number, key: string][]> {
  const found = new Map<number, string>();
  const { checkpoints } = runKeys(runId);
  for await (const { key } of store.list(checkpoints)) {
    const name = /^(\d+)\.safetensors(?:\.json)?$/.exec(key.slice(checkpoints.length));
    if (name !== null) found.set(Number(name[1]), key.replace(/\.json$/, ""));
  }
  return [...found].sort(([left], [right]) => left - right);
}
