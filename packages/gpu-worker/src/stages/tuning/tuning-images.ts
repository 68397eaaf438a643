import { readLabelLookup, runKeys, TrommelError, type ObjectStore, type ShardEntry } from "@trommel/common";
import { heldOutFoldOf } from "@trommel/common/artefacts";
import { readFoldSplit } from "../folding/fold-split.js";
import { readShard } from "../inputs/listing.js";
import type { TuningRun } from "./tuning-run.js";

/** Images in listing order. */
export interface TuningImages {
  readonly entries: readonly ShardEntry[];
  /** In the order of the classes. */
  readonly labels: Int32Array;
}

/**
 * The images of a run that tunes: what is tuned on, and what is never tuned on and measures every round, if it holds a fold out. Neither the images of the
 * held-out fold nor those of the test part are among `tuned`: images with the same bytes and the images of a group are in one part, as
 * the run without tuning has divided them.
 * @throws TrommelError `corrupt` where they are not those that the plan has counted
 */
export async function readTuningImages(
  store: ObjectStore,
  { config, untuned, classNames, rounds }: TuningRun,
  signal: AbortSignal,
): Promise<{ readonly tuned: TuningImages; readonly heldOut: TuningImages }> {
  const heldOutFold = heldOutFoldOf(config);
  const numberOf = new Map(classNames.map((label, index) => [label, index]));
  const labelOf = await readLabelLookup(store, untuned);
  const { parts } = await readFoldSplit(store, untuned.id);
  const [tuned, heldOut] = [new Collected(), new Collected()];
  for (const [index, ofShard] of parts.entries()) {
    signal.throwIfAborted();
    const { entries } = await readShard(store, runKeys(untuned.id).shard(index));
    for (const [position, part] of ofShard.entries()) {
      const entry = entries[position];
      if (part < 0 || entry === undefined) continue;
      const label = numberOf.get(labelOf(entry.key) ?? "");
      if (label === undefined)
        throw new TrommelError(
          "corrupt",
          `cannot tune ${config.id}: ${JSON.stringify(entry.key)} has no label`,
        );
      (part === heldOutFold ? heldOut : tuned).add(entry, label);
    }
  }
  const images = { tuned: tuned.images(), heldOut: heldOut.images() };
  const found = images.tuned.entries.length;
  if (found === rounds.images) return images;
  throw new TrommelError(
    "corrupt",
    `cannot tune ${config.id}: ${untuned.id} has ${found} images to tune on, and the plan says ${rounds.images}. Tune again under another id (--run)`,
    { context: { found, planned: rounds.images } },
  );
}

class Collected {
  readonly #entries: ShardEntry[] = [];
  readonly #labels: number[] = [];

  add(entry: ShardEntry, label: number): void {
    this.#entries.push(entry);
    this.#labels.push(label);
  }

  images(): TuningImages {
    return { entries: this.#entries, labels: Int32Array.from(this.#labels) };
  }
}
