import { featureShardMarker, type ObjectStore } from "@trommel/common";
import { ImageIdentities } from "@trommel/common/artefacts";
import { findMarker, isDamage } from "@trommel/common/codec";
import { range, readAhead } from "@trommel/common/store";
import { TokenIndex } from "./token-index.js";

const markersReadAtOnce = 16;
/**
 * A look at what others have committed since takes at most this share of the time, and is not repeated soon: every worker
 * reads what all others wrote, and it is of use only where two runs on the same images are under way at once.
 */
const lookingShare = 1 / 20;
const shortestPauseMs = 600_000;
const dataSuffix = ".safetensors";

/**
 * Which feature shard of one fingerprint may hold the rows of an image: what all markers there say, in 16 bytes for each
 * of their images. It is a guess, for 32 bits of an identity stand for it, and the markers have the last word.
 */
export class FeatureIndex {
  readonly #store: ObjectStore;
  readonly #folder: string;
  readonly #index = new TokenIndex();
  /** By number. */
  readonly #shards: string[] = [];
  readonly #numbers = new Map<string, number>();
  /** Numbers of shards that were not there any more. */
  readonly #gone = new Set<number>();
  readonly #runs = new Set<string>();
  #looking: Promise<void> | undefined;
  #nextLook = 0;

  constructor(store: ObjectStore, fingerprint: string) {
    this.#store = store;
    this.#folder = `features/${fingerprint}/`;
  }

  /** Knows all that was committed before a run came here first, and most of what has been since. */
  async lookAround(runId: string): Promise<void> {
    // One that is under way may have begun before the run did.
    await this.#looking?.catch(() => undefined);
    if (this.#runs.has(runId) && performance.now() < this.#nextLook) return;
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    await this.#looking;
    this.#runs.add(runId);
  }

  add(shardHash: string, identities: ImageIdentities): void {
    const existing = this.#numbers.get(shardHash);
    if (existing !== undefined && !this.#gone.has(existing)) return;
    const number = this.#shards.push(shardHash) - 1;
    this.#numbers.set(shardHash, number);
    const tokens = new Uint32Array(2 * identities.count);
    for (let image = 0; image < identities.count; image += 1) {
      tokens[2 * image] = identities.listedToken(image);
      tokens[2 * image + 1] = identities.contentToken(image);
    }
    this.#index.add(tokens, number);
  }

  /** It turned out that there is no such shard any more. */
  forget(shardHash: string): void {
    const number = this.#numbers.get(shardHash);
    if (number !== undefined) this.#gone.add(number);
  }

  /** Hashes of the shards that may have the rows of an image, by the token of either of its identities. */
  shardsWith(token: number): string[] {
    const found = this.#index.find(token);
    // As of nearly every image that is new.
    if (found.length === 0) return [];
    return [...new Set(found)]
      .filter((number) => !this.#gone.has(number))
      .map((number) => this.#shards[number]!);
  }

  async #look(): Promise<void> {
    const start = performance.now();
    const unknown: string[] = [];
    for await (const { key } of this.#store.list(this.#folder)) {
      const hash = shardOfMarker(key.slice(this.#folder.length));
      if (hash !== undefined && !this.#knows(hash)) unknown.push(hash);
    }
    const markers = readAhead(range(0, unknown.length), markersReadAtOnce, (index) =>
      this.#identitiesOf(unknown[index]!),
    );
    let index = 0;
    for await (const identities of markers) {
      if (identities !== undefined) this.add(unknown[index]!, identities);
      index += 1;
    }
    const tookMs = performance.now() - start;
    this.#nextLook = performance.now() + Math.max(shortestPauseMs, tookMs / lookingShare);
  }

  #knows(shardHash: string): boolean {
    const number = this.#numbers.get(shardHash);
    return number !== undefined && !this.#gone.has(number);
  }

  /** None of a marker of an earlier version; undefined of one that is damaged: the stage that needs that shard makes it again. */
  async #identitiesOf(shardHash: string): Promise<ImageIdentities | undefined> {
    try {
      const key = `${this.#folder}${shardHash}${dataSuffix}`;
      const marker = await findMarker(this.#store, key, featureShardMarker);
      return marker === undefined ? undefined : (ImageIdentities.unpack(marker) ?? ImageIdentities.blank(0));
    } catch (thrown) {
      if (isDamage(thrown)) return undefined;
      throw thrown;
    }
  }
}

function shardOfMarker(name: string): string | undefined {
  const suffix = `${dataSuffix}.json`;
  return name.endsWith(suffix) ? name.slice(0, -suffix.length) : undefined;
}

/** Fingerprints that a worker remembers at once: runs on more of them make it read markers again. */
const indexesAtMost = 4;

/** The libraries of the fingerprints that a worker's runs have; the least recently used goes first. */
export class FeatureIndexes {
  readonly #store: ObjectStore;
  readonly #indexes = new Map<string, FeatureIndex>();

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  of(fingerprint: string): FeatureIndex {
    const index = this.#indexes.get(fingerprint) ?? new FeatureIndex(this.#store, fingerprint);
    this.#indexes.delete(fingerprint);
    this.#indexes.set(fingerprint, index);
    for (const oldest of this.#indexes.keys()) {
      if (this.#indexes.size <= indexesAtMost) break;
      this.#indexes.delete(oldest);
    }
    return index;
  }
}
