import { readWithMarker, TrommelError, type ObjectStore, type ShardEntry } from "@trommel/common";
import { findShard, generationOutput, listedKeysOf, type PartPlace } from "@trommel/common/artefacts";
import { parseJsonLines } from "@trommel/common/parse";
import { range, readAhead } from "@trommel/common/store";
import { z } from "zod";

/** How pictures come to their folders. */
export type SortHow = "copy" | "link" | "move";

/** Pictures that are put in their places at once. */
const placedAtOnce = 16;

/** Why a picture was not put in its place. */
const unplaced = z.object({
  key: z.string(),
  /** `not-an-object`: it lies in an archive, or a manifest names its location. `taken`: another object is there, and it was left as it is. `not-found` and `changed`: the picture is not the one that was scored. */
  reason: z.enum(["not-an-object", "taken", "not-found", "changed"]),
});

/** What became of the rows of a part: rows = placed + below + unplaced. */
export const sortedPart = z
  .object({
    formatVersion: z.literal(1),
    rows: z.int().nonnegative(),
    /** Copied, linked or moved, now or by an earlier try. */
    placed: z.int().nonnegative(),
    /** Less probable than `min`. */
    below: z.int().nonnegative(),
    unplaced: z.array(unplaced),
  })
  .strict();
export type SortedPart = z.infer<typeof sortedPart>;

const scoreLine = z.looseObject({ key: z.string(), label: z.string(), probability: z.number() });

export interface SortPlaces {
  readonly store: ObjectStore;
  readonly scoringId: string;
  /** The place of the scores. */
  readonly output: ObjectStore;
  readonly source: ObjectStore;
  readonly into: ObjectStore;
  readonly how: SortHow;
  /** @default 0 */
  readonly min: number;
  readonly signal: AbortSignal;
}

/** Puts the pictures of a part into the folders of their labels. A second try finds those of the first, and continues. */
export async function sortPart({ generation, index }: PartPlace, places: SortPlaces): Promise<SortedPart> {
  const key = generationOutput(generation).part(index, "jsonl");
  const rows = parseJsonLines(scoreLine, (await readWithMarker(places.output, key)).bytes, key);
  const shard = await findShard(places.store, listedKeysOf(places.scoringId, generation).shard(index));
  const listed = new Map(shard?.entries.map((entry) => [entry.key, entry]));
  const result: SortedPart = { formatVersion: 1, rows: rows.length, placed: 0, below: 0, unplaced: [] };
  const wanted = rows.filter(({ probability }) => probability >= places.min);
  result.below = rows.length - wanted.length;
  const place = async (at: number): Promise<z.infer<typeof unplaced> | undefined> => {
    places.signal.throwIfAborted();
    const row = wanted[at];
    if (row === undefined) return undefined;
    const reason = await placePicture(row, listed.get(row.key), places);
    return reason === undefined ? undefined : { key: row.key, reason };
  };
  for await (const problem of readAhead(range(0, wanted.length), placedAtOnce, place)) {
    if (problem === undefined) result.placed += 1;
    else result.unplaced.push(problem);
  }
  return result;
}

/** @returns why it is not there; undefined if it is */
async function placePicture(
  { key, label }: { readonly key: string; readonly label: string },
  listed: ShardEntry | undefined,
  { source, into, how }: SortPlaces,
): Promise<z.infer<typeof unplaced>["reason"] | undefined> {
  if (listed?.at !== undefined) return "not-an-object";
  const as = `${label}/${key}`;
  const of = listed === undefined ? {} : { etag: listed.etag };
  try {
    const outcome = await putThere({ source, key, of }, { into, as }, how);
    if (outcome === "exists" && !(await isThere({ source, key, of }, { into, as }, listed?.sizeBytes)))
      return "taken";
    if (how === "move") await source.delete([key]);
    return undefined;
  } catch (thrown) {
    if (!(thrown instanceof TrommelError)) throw thrown;
    if (thrown.code === "changed") return "changed";
    if (thrown.code !== "not-found") throw thrown;
    // An earlier try may have moved it, and died before it could say so.
    const there = how === "move" ? await into.head(as) : undefined;
    return there !== undefined && there.sizeBytes === listed?.sizeBytes ? undefined : "not-found";
  }
}

interface ScoredPicture {
  readonly source: ObjectStore;
  readonly key: string;
  readonly of: { readonly etag?: string };
}

interface PicturePlace {
  readonly into: ObjectStore;
  readonly as: string;
}

/**
 * Whether the place has the picture's bytes: another file may have its size, and a picture that is moved is then removed.
 * @throws TrommelError `not-found` and `changed` for the picture
 */
async function isThere(
  { source, key, of }: ScoredPicture,
  { into, as }: PicturePlace,
  sizeBytes: number | undefined,
): Promise<boolean> {
  const there = await into.head(as);
  if (sizeBytes !== undefined && there?.sizeBytes !== sizeBytes) return false;
  const [picture, found] = await Promise.all([source.get(key, of), into.get(as)]);
  return Buffer.compare(picture, found) === 0;
}

async function putThere(
  from: ScoredPicture,
  { into, as }: PicturePlace,
  how: SortHow,
): Promise<"written" | "exists"> {
  const { source, key, of } = from;
  const outcome = await into.copyFrom(source, key, as, { ...of, link: how === "link" });
  if (outcome !== "elsewhere") return outcome;
  if (how === "link") {
    throw new TrommelError(
      "unsupported",
      `cannot link ${source.url}/${key} into ${into.url}: only files of one file system have a second name. Use --copy`,
    );
  }
  return into.put(as, await source.get(key, of), { ifAbsent: true });
}
