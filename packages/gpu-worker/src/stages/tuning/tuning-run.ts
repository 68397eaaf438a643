import {
  readLabelLookup,
  runKeys,
  TrommelError,
  type BackboneSpec,
  type ObjectStore,
  type RunConfig,
  type ShardEntry,
} from "@trommel/common";
import { heldOutFold, readTuningBasis, untunedOf, type TuningRounds } from "@trommel/common/artefacts";
import type { TuneRecipe } from "@trommel/common/recipe";
import { readListing, readShard } from "../inputs/listing.js";
import { readRunConfig, readUnresolvedConfig, type ResolvedRun } from "../inputs/run.js";

/** Images in listing order. */
export interface TuningImages {
  readonly entries: readonly ShardEntry[];
  /** In the order of the classes. */
  readonly labels: Int32Array;
}

/** What the jobs of a run's tuning start from: numbers and images are frozen with the run without tuning. */
export interface TuningRun {
  readonly config: RunConfig;
  readonly tune: TuneRecipe;
  /** The run without tuning, with what the pixels are normalised by. */
  readonly untuned: ResolvedRun;
  readonly spec: BackboneSpec;
  readonly rounds: TuningRounds;
  readonly classNames: readonly string[];
  /** What is tuned on. */
  readonly tuned: TuningImages;
  /** What is never tuned on, and measures every round. */
  readonly heldOut: TuningImages;
}

/**
 * Reads the tuning of a run. Neither the images of the held-out fold nor those of the test part are among `tuned`: images with the
 * same bytes and the images of a group are in one part, as the run without tuning has divided them.
 * @throws TrommelError `missing-input`, `not-found` before the run without tuning has divided its images
 */
export async function readTuningRun(store: ObjectStore, id: string, signal: AbortSignal): Promise<TuningRun> {
  const config = await readUnresolvedConfig(store, id);
  const { tune } = config.recipe;
  const untunedId = untunedOf(config);
  if (tune === null || untunedId === undefined)
    throw new TrommelError("internal", `cannot tune ${id}: its recipe tunes nothing`);
  const untuned = await readRunConfig(store, untunedId);
  const { split, spec, rounds } = await readTuningBasis(store, config);
  const { shards, classes = [] } = await readListing(store, runKeys(untunedId).listing);
  const classNames = classes.map(({ label }) => label);
  const numberOf = new Map(classNames.map((label, index) => [label, index]));
  const labelOf = await readLabelLookup(store, untuned);
  const [tuned, heldOut] = [new Collected(), new Collected()];
  for (let index = 0; index < shards; index += 1) {
    signal.throwIfAborted();
    const { entries } = await readShard(store, runKeys(untunedId).shard(index));
    for (const [position, part] of (split.parts[index] ?? []).entries()) {
      const entry = entries[position];
      if (part < 0 || entry === undefined) continue;
      const label = numberOf.get(labelOf(entry.key) ?? "");
      if (label === undefined)
        throw new TrommelError("corrupt", `cannot tune ${id}: ${JSON.stringify(entry.key)} has no label`);
      (part === heldOutFold ? heldOut : tuned).add(entry, label);
    }
  }
  return {
    config,
    tune,
    untuned,
    spec,
    rounds,
    classNames,
    tuned: tuned.images(),
    heldOut: heldOut.images(),
  };
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

/** The backbone's spec with the normalisation that the run uses it with. */
export function specInUse({ spec, untuned }: Pick<TuningRun, "spec" | "untuned">): BackboneSpec {
  return untuned.normalization === null ? spec : { ...spec, normalization: untuned.normalization };
}
