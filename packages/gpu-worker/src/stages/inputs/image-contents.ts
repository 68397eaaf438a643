import {
  featureShardKey,
  featureShardMarker,
  sha256Hex,
  type ObjectStore,
  type Shard,
} from "@trommel/common";
import { ImageIdentities } from "@trommel/common/artefacts";
import { readInputMarker } from "@trommel/common/codec";
import { readFeatures } from "./features.js";
import type { ResolvedRun } from "./run.js";

/** What the bytes of a shard's images are, by position: equal files have equal texts. Images that could not be read have none. */
export type ImageContents = ReadonlyMap<number, string>;

/** By the hashes of the files; undefined if the shard's marker, of an earlier version, does not hold them. */
export async function fileHashes(
  store: ObjectStore,
  config: ResolvedRun,
  shard: Shard,
): Promise<ImageContents | undefined> {
  const key = featureShardKey(config.fingerprint, shard.hash);
  const marker = await readInputMarker(store, key, featureShardMarker);
  const identities = ImageIdentities.unpack(marker);
  const failed = new Set(marker.failed.map(({ position }) => position));
  const contents = new Map<number, string>();
  let image = 0;
  for (const position of shard.entries.keys()) {
    if (failed.has(position)) continue;
    const hash = identities?.file(image)?.toString("hex");
    if (hash === undefined) return undefined;
    contents.set(position, hash);
    image += 1;
  }
  return contents;
}

/** By the hashes of the embeddings of the images themselves: equal files have equal embeddings too. */
export async function embeddingHashes(
  store: ObjectStore,
  config: ResolvedRun,
  shard: Shard,
): Promise<ImageContents> {
  const { dimension, features, image, view } = await readFeatures(store, config, shard);
  const contents = new Map<number, string>();
  for (const [row, position] of image.entries()) {
    if (view[row] !== 0) continue;
    const values = features.subarray(row * dimension, (row + 1) * dimension);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    contents.set(position, sha256Hex(bytes).slice(0, 32));
  }
  return contents;
}
