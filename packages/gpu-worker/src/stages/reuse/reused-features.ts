import {
  decodeFeatureShard,
  featureDimension,
  featureShardKey,
  featureShardMarker,
  findMarker,
  toTrommelError,
  type FailedImage,
  type ObjectStore,
  type RunConfig,
  type Shard,
} from "@trommel/common";
import { ImageIdentities } from "@trommel/common/artefacts";
import { isDamage, readInput } from "@trommel/common/codec";
import { sha256OfFile } from "../../image/decode/file-hash.js";
import type { ShardViews } from "../../image/views/shard-views.js";
import type { FeatureIndex } from "./feature-index.js";
import type { ShardFeatures } from "../images/shard-features.js";

/**
 * The rows of a shard's images that exist in other feature shards of the fingerprint, whatever run made them.
 *
 * An image is matched by its listing before its file is read, and by its bytes once they are there; its rows are copied at
 * the end, each shard that has some read once. Rows that are missing or damaged by then are extracted.
 */
export class ReusedFeatures {
  readonly #store: ObjectStore;
  readonly #index: FeatureIndex;
  readonly #config: RunConfig;
  readonly #shard: Shard;
  readonly #views: ShardViews;
  /** By position: the hash of the shard that has the features of an image, if one has. */
  readonly #places = new Map<number, string>();
  /** By position: what each image is listed as, and what its rows are of, once that is known. */
  readonly #identities: ImageIdentities;
  readonly #opened = new Map<string, Promise<MarkedIdentities | undefined>>();

  constructor(options: {
    readonly store: ObjectStore;
    readonly index: FeatureIndex;
    readonly config: RunConfig;
    readonly shard: Shard;
    readonly views: ShardViews;
  }) {
    this.#store = options.store;
    this.#index = options.index;
    this.#config = options.config;
    this.#shard = options.shard;
    this.#views = options.views;
    const { entries } = options.shard;
    this.#identities = ImageIdentities.blank(entries.length);
    for (const [position, entry] of entries.entries())
      this.#identities.setListed(position, options.config.dataset, entry);
  }

  /** Positions of the images whose rows exist in another shard. */
  get positions(): ReadonlySet<number> {
    return new Set(this.#places.keys());
  }

  /** Matches every image that was listed as it was when its rows were made. */
  async matchListed(): Promise<void> {
    for (const [position, entry] of this.#shard.entries.entries()) {
      // A store that states no etags does not tell a file from another of its size.
      if (entry.etag === "") continue;
      for (const hash of this.#index.shardsWith(this.#identities.listedToken(position))) {
        const marked = await this.#open(hash);
        const image = marked?.imageListedAs(this.#identities.listed(position));
        if (marked === undefined || image === undefined) continue;
        const { identities } = marked;
        this.#identities.copyContent(position, identities.content(image), identities.file(image));
        this.#places.set(position, hash);
        break;
      }
    }
  }

  /** Notes what an image's rows are of. */
  async identify(position: number, bytes: Uint8Array): Promise<void> {
    this.#identities.setContent(position, await sha256OfFile(bytes), this.#views.of(position));
  }

  /** Matches an image by its bytes. @returns whether its rows exist in another shard, so that it need not be decoded */
  matchContent(position: number, bytes: Uint8Array): Promise<boolean> {
    const content = sha256OfFile(bytes);
    // Nearly every file is hashed at once, and a wait for what is there costs more than the hash.
    return typeof content === "string"
      ? this.#match(position, content)
      : content.then((hash) => this.#match(position, hash));
  }

  async #match(position: number, contentSha256: string): Promise<boolean> {
    this.#identities.setContent(position, contentSha256, this.#views.of(position));
    for (const hash of this.#index.shardsWith(this.#identities.contentToken(position))) {
      if ((await this.#open(hash))?.ordinalOf(this.#identities.content(position)) === undefined) continue;
      this.#places.set(position, hash);
      return true;
    }
    return false;
  }

  /** Copies all that was matched. @returns the positions, ascending, whose rows could not be read: they match nothing any more */
  async copyInto(rows: ShardFeatures): Promise<number[]> {
    const byShard = new Map<string, number[]>();
    for (const [position, hash] of this.#places) {
      const positions = byShard.get(hash);
      if (positions === undefined) byShard.set(hash, [position]);
      else positions.push(position);
    }
    const lost: number[] = [];
    for (const [hash, positions] of byShard) lost.push(...(await this.#copy(hash, positions, rows)));
    for (const position of lost) this.#places.delete(position);
    return lost.sort((a, b) => a - b);
  }

  /** The identities of every image that did not fail, in shard order. */
  identitiesWithout(failed: readonly FailedImage[]): ImageIdentities {
    return this.#identities.without(new Set(failed.map(({ position }) => position)));
  }

  async #copy(hash: string, positions: readonly number[], into: ShardFeatures): Promise<number[]> {
    const source = await this.#readRows(hash);
    const imageLength = into.viewCount * into.dimension;
    return positions.filter((position) => {
      const ordinal = source?.marked.ordinalOf(this.#identities.content(position));
      if (source === undefined || ordinal === undefined) return true;
      into.set(position, source.features.subarray(ordinal * imageLength, (ordinal + 1) * imageLength));
      return false;
    });
  }

  async #readRows(hash: string): Promise<{ marked: MarkedIdentities; features: Float32Array } | undefined> {
    const key = featureShardKey(this.#config.fingerprint, hash);
    return this.#unlessLost(hash, async () => {
      const { bytes, marker } = await readInput(this.#store, key, featureShardMarker);
      const { features, image } = decodeFeatureShard(bytes, key, featureDimension(this.#config));
      const identities = ImageIdentities.unpack(marker);
      const isWhole = image.length === marker.ok * this.#config.recipe.views.count;
      return identities === undefined || !isWhole
        ? undefined
        : { marked: new MarkedIdentities(identities), features };
    });
  }

  async #open(hash: string): Promise<MarkedIdentities | undefined> {
    let opening = this.#opened.get(hash);
    if (opening === undefined) {
      const key = featureShardKey(this.#config.fingerprint, hash);
      opening = this.#unlessLost(hash, async () => {
        const marker = await findMarker(this.#store, key, featureShardMarker);
        const identities = marker === undefined ? undefined : ImageIdentities.unpack(marker);
        return identities === undefined ? undefined : new MarkedIdentities(identities);
      });
      this.#opened.set(hash, opening);
    }
    return opening;
  }

  /** A shard that was removed or is damaged has nothing to reuse; the stage that needs that shard reports it. */
  async #unlessLost<T>(hash: string, read: () => Promise<T | undefined>): Promise<T | undefined> {
    let found: T | undefined;
    try {
      found = await read();
    } catch (thrown) {
      const isLost = isDamage(thrown) || ["missing-input", "corrupt"].includes(toTrommelError(thrown).code);
      if (!isLost) throw thrown;
    }
    if (found === undefined) this.#index.forget(hash);
    return found;
  }
}

/** What a marker says that the rows of its shard are of. */
class MarkedIdentities {
  readonly identities: ImageIdentities;
  /** Place among the images that could be read, by the identity of its rows. */
  readonly #ordinals = new Map<string, number>();
  readonly #listed = new Map<string, number>();

  constructor(identities: ImageIdentities) {
    this.identities = identities;
    for (let ordinal = 0; ordinal < identities.count; ordinal += 1) {
      this.#ordinals.set(identities.content(ordinal).toString("latin1"), ordinal);
      this.#listed.set(identities.listed(ordinal).toString("latin1"), ordinal);
    }
  }

  ordinalOf(rows: Buffer): number | undefined {
    return this.#ordinals.get(rows.toString("latin1"));
  }

  imageListedAs(listed: Buffer): number | undefined {
    return this.#listed.get(listed.toString("latin1"));
  }
}
