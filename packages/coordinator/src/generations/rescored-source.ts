import { openStore, scoringKeys, type ObjectStore, type ScoringConfig } from "@trommel/common";
import {
  findListing,
  partsOf,
  readEarlierGeneration,
  ScoringGeneration,
  type ScoringSuccess,
} from "@trommel/common/artefacts";
import { putJsonOnce } from "@trommel/common/codec";
import { range, readAhead, readIfThere } from "@trommel/common/store";
import { requireSuccess } from "../run-control/require-success.js";
import type { ImageSource, ListedImage } from "../sources/image-source.js";
import { readDeadPlaces } from "./dead-places.js";
import { readBaseEntries, shardsReadAtOnce } from "./known-entries.js";

/** A scoring by another model, of the images of an earlier one. */
export type Rescoring = ScoringConfig & { readonly rescoreOf: NonNullable<ScoringConfig["rescoreOf"]> };

export function isRescoring(config: ScoringConfig): config is Rescoring {
  return config.rescoreOf !== undefined;
}

type Listing = Pick<ImageSource, "url" | "list" | "anyOrder" | "columns">;

/**
 * The images of an earlier scoring as a source: each that its last complete generation has, in the order of its parts. The source itself
 * is not listed, so that both scorings have the same images whatever has come since.
 * @throws TrommelError `conflict` where the earlier scoring is not complete any more
 */
export function rescoredSource(
  store: ObjectStore,
  { rescoreOf, source, from }: Rescoring,
  signal: AbortSignal,
): Listing {
  return {
    url: source,
    anyOrder: true,
    columns: from?.type === "manifest" ? from.columns : [],
    list: async function* (_, { passed = 0 } = {}) {
      let place = 0;
      for await (const image of listRescored(store, rescoreOf, signal)) {
        if (place >= passed) yield image;
        place += 1;
      }
    },
  };
}

/** Keeps which keys of later generations are in the sample: those that the earlier scoring would take. */
export async function keepSample(store: ObjectStore, { id, rescoreOf }: Rescoring): Promise<void> {
  const sample = await readIfThere(store, scoringKeys(rescoreOf.scoring).sample);
  if (sample !== undefined) await putJsonOnce(store, scoringKeys(id).sample, sample);
}

/** How many images the earlier scoring has, and their size. */
export async function countRescored(
  store: ObjectStore,
  { rescoreOf }: Rescoring,
): Promise<{ readonly images: number; readonly sizeBytes: number; readonly skipped: number }> {
  const generation = await readEarlierGeneration(store, await afterLast(rescoreOf));
  const { images = 0, sizeBytes = 0 } = (await findListing(store, generation.keys.listing)) ?? {};
  return { images, sizeBytes, skipped: 0 };
}

async function* listRescored(
  store: ObjectStore,
  rescoreOf: Rescoring["rescoreOf"],
  signal: AbortSignal,
): AsyncGenerator<ListedImage> {
  const after = await afterLast(rescoreOf);
  const dead = await readDeadPlaces(store, await readEarlierGeneration(store, after), after.base);
  const read = (index: number) => readBaseEntries(store, after, index);
  let index = 0;
  for await (const entries of readAhead(range(0, after.base.length), shardsReadAtOnce, read)) {
    signal.throwIfAborted();
    const isDead = dead.get(index);
    for (const [position, { entry, carried }] of entries.entries())
      if (isDead?.has(position) !== true) yield { ...entry, carried };
    index += 1;
  }
}

/** The generation that would follow the last complete one: it begins with all parts of that. */
async function afterLast({ scoring, output: location }: Rescoring["rescoreOf"]): Promise<ScoringGeneration> {
  const output = openStore(location);
  try {
    const success: ScoringSuccess = await requireSuccess(output, `rescore ${scoring}`);
    const generation = (success.generation?.number ?? 0) + 1;
    return new ScoringGeneration(scoring, {
      ...{ formatVersion: 1, generation, base: partsOf(success), images: success.rows },
    });
  } finally {
    output.close();
  }
}
