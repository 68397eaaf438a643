import { scoringKeys, type ObjectStore, type ScoringConfig } from "@trommel/common";
import { parseSealedAs, putJsonOnce, sealedJson, sha256Latin1 } from "@trommel/common/codec";
import { readIfThere } from "@trommel/common/store";
import { z } from "zod";
import type { Skip } from "../listing/key-filter.js";
import type { ImageSource } from "../sources/image-source.js";
import { whySkipped } from "./stream-shards.js";

/** `sample.json`: keys whose hash is at most this are scored. It is written once, so that a resume draws the same keys. */
const storedSample = z.object({ formatVersion: z.literal(1), hashAtMost: z.int().nonnegative() }).strict();

/** Which keys are in a sample, from the key alone. */
export interface Sample {
  /** @returns undefined for a key that is in it */
  skip(key: string): Skip | undefined;
}

interface Listing {
  readonly store: ObjectStore;
  readonly source: Pick<ImageSource, "list">;
  /** Why an object is skipped whatever the sample; undefined if it is an image. */
  readonly skip: (key: string) => Skip | undefined;
  readonly signal: AbortSignal;
}

/**
 * The sample of a scoring: of all images that a first listing of the source gives those with the smallest hashes. A scoring without a
 * sample takes every image, and nothing is listed for it.
 */
export async function chooseSample(config: ScoringConfig, listing: Listing): Promise<Sample> {
  const { sample } = config;
  if (sample === undefined) return { skip: () => undefined };
  const key = scoringKeys(config.id).sample;
  const { store } = listing;
  if ((await store.head(key)) === undefined) {
    const hashAtMost = await largestHash(listing, sample);
    await putJsonOnce(store, key, sealedJson({ formatVersion: 1, hashAtMost }));
  }
  const body = (await readIfThere(store, key)) ?? new Uint8Array();
  return sampleOf(sample.seed, parseSealedAs(storedSample, body, key).hashAtMost);
}

/** The same for a look at what a scoring would be; nothing is written. */
export async function chooseSampleUnstored(
  { sample }: ScoringConfig,
  listing: Omit<Listing, "store">,
): Promise<Sample> {
  if (sample === undefined) return { skip: () => undefined };
  return sampleOf(sample.seed, await largestHash(listing, sample));
}

function sampleOf(seed: number, hashAtMost: number): Sample {
  return { skip: (key) => (hashOf(key, seed) <= hashAtMost ? undefined : { reason: "not-sampled" }) };
}

async function largestHash(
  { source, skip, signal }: Omit<Listing, "store">,
  { images, seed }: NonNullable<ScoringConfig["sample"]>,
): Promise<number> {
  const smallest = new SmallestNumbers(images);
  for await (const object of source.list("", { withUnusable: true })) {
    signal.throwIfAborted();
    if (whySkipped(object, skip) === undefined) smallest.add(hashOf(object.key, seed));
  }
  return smallest.largest();
}

/** 48 bits of a sha256: two of ten million keys share them once in six tries, and the sample has then one image more at most. */
function hashOf(key: string, seed: number): number {
  return Buffer.from(sha256Latin1(`${seed}\n${key}`), "latin1").readUIntBE(0, 6);
}

/** The smallest of many numbers, of which at most twice as many are held. */
class SmallestNumbers {
  readonly #count: number;
  #numbers: number[] = [];

  constructor(count: number) {
    this.#count = count;
  }

  add(number: number): void {
    this.#numbers.push(number);
    if (this.#numbers.length >= 2 * this.#count) this.#cut();
  }

  /** The largest of them; 0 without any. */
  largest(): number {
    this.#cut();
    return this.#numbers.at(-1) ?? 0;
  }

  #cut(): void {
    this.#numbers = Array.from(Float64Array.from(this.#numbers).sort()).slice(0, this.#count);
  }
}
