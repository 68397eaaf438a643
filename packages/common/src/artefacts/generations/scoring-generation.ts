import { z } from "zod";
import { parseSealedAs } from "../../codec/sealed-json.js";
import { TrommelError } from "../../errors.js";
import type { ScoreFormat } from "../../recipe/recipe.js";
import type { ObjectStore } from "../../store/object-store.js";
import { readBounds } from "../../store/read-bounds.js";
import { shardHash } from "../runs/fingerprint.js";
import type { Shard } from "../shards/listing.js";
import { generationOutput, scoringKeys, type ListedKeys } from "../store-keys.js";
import { PartList, partSpan, type PartPlace } from "./part-list.js";

/**
 * The generations of a scoring. The first lists and scores everything; each later one lists again, scores what is new or changed,
 * and keeps the other parts.
 *
 * A generation numbers its shards through: first the parts that it begins with (those of its predecessor), then its own shards,
 * whose files it numbers from 0, then those of its retries. So a shard's number means the same to plan, jobs, ledger and retries
 * whichever generation wrote the part.
 */

/** `generations/<n>/generation.json`: with it a generation is open. */
const generationRequest = z
  .object({
    formatVersion: z.literal(1),
    generation: z.int().positive(),
    /** The parts of the generation before it, complete, in order. */
    base: z.array(partSpan).min(1),
    /** Images that those list. */
    images: z.int().nonnegative(),
  })
  .strict();
export type GenerationRequest = z.infer<typeof generationRequest>;

export class ScoringGeneration {
  /** From 0. */
  readonly number: number;
  readonly scoring: string;
  readonly keys: ListedKeys;
  /** What the listing of a later generation found, once it is complete. */
  readonly deltaKey: string;
  readonly output: ReturnType<typeof generationOutput>;
  /** The parts that it begins with; none in the first. */
  readonly base: PartList;
  /** Images that those list. */
  readonly baseImages: number;

  constructor(scoring: string, request?: GenerationRequest) {
    this.number = request?.generation ?? 0;
    this.scoring = scoring;
    this.keys = listedKeysOf(scoring, this.number);
    this.deltaKey = scoringKeys(scoring).generation(this.number).delta;
    this.output = generationOutput(this.number);
    this.base = new PartList(request?.base ?? []);
    this.baseImages = request?.images ?? 0;
  }

  /** Which generation wrote a shard, and its number there. */
  placeOf(index: number): PartPlace {
    if (index < this.base.length) return this.base.at(index);
    return { generation: this.number, index: index - this.base.length };
  }

  shardKey(index: number): string {
    const place = this.placeOf(index);
    return listedKeysOf(this.scoring, place.generation).shard(place.index);
  }

  /** The key of a shard's carried columns, see `shard-columns.ts`. */
  columnsKey(index: number): string {
    const place = this.placeOf(index);
    return listedKeysOf(this.scoring, place.generation).columns(place.index);
  }

  partKey(index: number, format: ScoreFormat): string {
    const place = this.placeOf(index);
    return generationOutput(place.generation).part(place.index, format);
  }

  /**
   * A shard as this generation counts it. What was skipped is counted by a later generation's listing, and places that an earlier
   * generation tried again mean nothing any more.
   */
  shardOf(index: number, read: Shard): Shard {
    if (this.number === 0) return read;
    const { supersedes, leftOut: _, ...shard } = read;
    const isOwn = index >= this.base.length;
    const again = isOwn && supersedes !== undefined ? { supersedes } : {};
    const hash = shardHash(shard.entries, again.supersedes);
    return { ...shard, ...again, index, hash, skipped: [], anyOrder: true };
  }
}

/** Keys of what a generation lists, without those that only a later one has. */
export function listedKeysOf(scoring: string, generation: number): ListedKeys {
  const keys = scoringKeys(scoring);
  return generation === 0 ? keys : keys.generation(generation);
}

/** The last generation that was opened. */
export async function readGeneration(store: ObjectStore, scoring: string): Promise<ScoringGeneration> {
  const keys = scoringKeys(scoring);
  const etags = new Map<number, string>();
  const isOpen = async (number: number): Promise<boolean> => {
    const info = await store.head(keys.generation(number).request);
    if (info !== undefined) etags.set(number, info.etag);
    return info !== undefined;
  };
  // They follow one another without a gap, so that a few looks find the last of thousands.
  let last = 0;
  let step = 1;
  while (await isOpen(last + step)) {
    last += step;
    step *= 2;
  }
  let beyond = last + step;
  while (beyond - last > 1) {
    const middle = (last + beyond) >> 1;
    if (await isOpen(middle)) last = middle;
    else beyond = middle;
  }
  return last === 0
    ? new ScoringGeneration(scoring)
    : remembered(store, scoring, last, etags.get(last) ?? "");
}

/** The generation before a later one. */
export async function readEarlierGeneration(
  store: ObjectStore,
  { scoring, number }: ScoringGeneration,
): Promise<ScoringGeneration> {
  return number <= 1
    ? new ScoringGeneration(scoring)
    : new ScoringGeneration(scoring, await readRequest(store, scoring, number - 1));
}

/** Every job of a generation needs it, and it may name tens of thousands of parts. */
const remember = new WeakMap<
  ObjectStore,
  { readonly name: string; readonly generation: ScoringGeneration }
>();

async function remembered(
  store: ObjectStore,
  scoring: string,
  number: number,
  etag: string,
): Promise<ScoringGeneration> {
  const key = scoringKeys(scoring).generation(number).request;
  const name = `${key} ${etag}`;
  const known = remember.get(store);
  if (etag !== "" && known?.name === name) return known.generation;
  const request = await readRequest(store, scoring, number);
  const generation = new ScoringGeneration(scoring, request);
  remember.set(store, { name, generation });
  return generation;
}

async function readRequest(store: ObjectStore, scoring: string, number: number): Promise<GenerationRequest> {
  const { request: key } = scoringKeys(scoring).generation(number);
  const request = parseSealedAs(generationRequest, await store.get(key, readBounds.document), key);
  if (request.generation === number) return request;
  throw new TrommelError(
    "corrupt",
    `cannot read ${key}: it says that it is generation ${request.generation}. Score into another --output`,
    { context: { key } },
  );
}
