import { openStore, readWithMarker, type ObjectStore } from "@trommel/common";
import {
  findShard,
  generationOutput,
  listedKeysOf,
  PartList,
  sortedKeys,
  verifiedPart,
  type SortedPart,
  type SortingConfig,
  type VerifiedPart,
} from "@trommel/common/artefacts";
import { parseSealedAs, putJsonOnce, sealedJson } from "@trommel/common/codec";
import { parseJsonLines } from "@trommel/common/parse";
import { range, readAhead, readBounds, readIfThere } from "@trommel/common/store";
import { z } from "zod";
import type { StageContext, StageOutcome } from "./context.js";
import { findSortedPart, readSortingConfig } from "./sorting/read-sorting.js";
import { placeImage, removeSource, type PlacedImage, type SortPlaces } from "./sorting/place-image.js";

/** Images that are put in their places at once. */
const placedAtOnce = 16;

const scoreLine = z.looseObject({ key: z.string(), label: z.string(), probability: z.number() });
type ScoreLine = z.infer<typeof scoreLine>;

/**
 * Sort: a score part, its images → the images in the folders of their labels, `parts/<n>.json`.
 *
 * In: the part, its shard, the images. Out: `<label>/<key>` under the target, and last what became of the part. Nothing is overwritten. With
 * `move` the bytes of each image are compared with those in its place, `verified/<n>.json` names those that are equal, and only then
 * are their sources removed. A retry finds that file and removes what is left; without it no source is gone, and all of the
 * part is done again.
 */
export async function sort(
  sortingId: string,
  index: number,
  context: Pick<StageContext, "store" | "signal" | "onImages">,
): Promise<StageOutcome> {
  const config = await readSortingConfig(context.store, sortingId);
  const [output, source, into] = [openStore(config.output), openStore(config.source), openStore(config.into)];
  try {
    const part =
      (await findSortedPart(into, sortingId, index)) ??
      (await sortPart(config, index, { output, source, into, how: config.how }, context));
    return { images: part.rows, failed: part.unplaced.length };
  } finally {
    for (const place of [output, source, into]) place.close();
  }
}

async function sortPart(
  config: SortingConfig,
  index: number,
  places: SortPlaces & { readonly output: ObjectStore },
  context: Pick<StageContext, "store" | "signal" | "onImages">,
): Promise<SortedPart> {
  const { generation, index: of } = new PartList(config.parts).at(index);
  const key = generationOutput(generation).part(of, "jsonl");
  const rows = parseJsonLines(scoreLine, (await readWithMarker(places.output, key)).bytes, key);
  const shard = await findShard(context.store, listedKeysOf(config.scoring, generation).shard(of));
  const listed = new Map(shard?.entries.map((entry) => [entry.key, entry]));
  const wanted = rows
    .filter(({ probability }) => probability >= config.min)
    .map((row): PlacedImage => ({ key: row.key, as: placeOf(row), listed: listed.get(row.key) }));
  const done = await placeAll(config, index, wanted, places, context);
  const removed = config.how === "move" ? await removeAll(done.verified, wanted, places, context) : 0;
  const part: SortedPart = {
    ...{ formatVersion: 1, rows: rows.length, placed: wanted.length - done.unplaced.length },
    ...{ below: rows.length - wanted.length, unplaced: done.unplaced, removed },
  };
  await putJsonOnce(places.into, sortedKeys(config.id).part(index), sealedJson(part));
  return part;
}

function placeOf({ label, key }: ScoreLine): string {
  return `${label}/${key}`;
}

type Placed = Pick<VerifiedPart, "verified" | "unplaced">;

/** With `move`, what the first try to end says that it has verified: another may have removed sources since. */
async function placeAll(
  { id, how }: SortingConfig,
  index: number,
  wanted: readonly PlacedImage[],
  places: SortPlaces,
  { signal, onImages }: Pick<StageContext, "signal" | "onImages">,
): Promise<Placed> {
  const key = sortedKeys(id).verified(index);
  const readVerified = async (): Promise<VerifiedPart | undefined> => {
    const body = await readIfThere(places.into, key, readBounds.document);
    return body === undefined ? undefined : parseSealedAs(verifiedPart, body, key);
  };
  if (how === "move") {
    const before = await readVerified();
    if (before !== undefined) return before;
  }
  const placed: Placed = { verified: [], unplaced: [] };
  let seen = 0;
  const place = async (at: number) => {
    signal.throwIfAborted();
    const image = wanted[at];
    return image === undefined ? undefined : { key: image.key, reason: await placeImage(image, places) };
  };
  for await (const outcome of readAhead(range(0, wanted.length), placedAtOnce, place)) {
    if (outcome === undefined) continue;
    if (outcome.reason === undefined) placed.verified.push(outcome.key);
    else placed.unplaced.push({ key: outcome.key, reason: outcome.reason });
    onImages((seen += 1));
  }
  if (how !== "move") return placed;
  const written = await putJsonOnce(places.into, key, sealedJson({ formatVersion: 1, ...placed }));
  return written === "written" ? placed : ((await readVerified()) ?? placed);
}

/** @returns how many sources are gone; one that was replaced since stays */
async function removeAll(
  verified: readonly string[],
  wanted: readonly PlacedImage[],
  places: SortPlaces,
  { signal }: Pick<StageContext, "signal">,
): Promise<number> {
  const keys = new Set(verified);
  const removable = wanted.filter(({ key }) => keys.has(key));
  let removed = 0;
  const remove = async (at: number): Promise<boolean> => {
    signal.throwIfAborted();
    const image = removable[at];
    return image !== undefined && (await removeSource(image, places));
  };
  for await (const isGone of readAhead(range(0, removable.length), placedAtOnce, remove))
    if (isGone) removed += 1;
  return removed;
}
