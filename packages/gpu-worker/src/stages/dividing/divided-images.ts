import {
  readLabelLookup,
  runKeys,
  sha256Hex,
  TrommelError,
  type ObjectStore,
  type Shard,
} from "@trommel/common";
import type { Division } from "@trommel/common/artefacts";
import type { StageContext } from "../context.js";
import { embeddingHashes, fileHashes, type ImageContents } from "../inputs/image-contents.js";
import { readListing, readShard } from "../inputs/listing.js";
import type { ResolvedRun } from "../inputs/run.js";

export interface DividedImage {
  readonly shard: number;
  readonly position: number;
  readonly key: string;
  readonly label: string;
  /** Hash of what the file's bytes are; equal files have equal ones. */
  readonly content: string;
  /** Images that share one of them are never divided: of the content, of the group. The first is of the key, which none share. */
  readonly tokens: readonly string[];
}

/**
 * Every image of a run that could be read, in listing order.
 * @throws TrommelError `missing-input` if a feature shard was not committed, `corrupt` for an image without a label
 */
export async function readDividedImages(
  config: ResolvedRun,
  division: Division,
  { store, signal }: Pick<StageContext, "store" | "signal">,
): Promise<DividedImage[]> {
  const keys = runKeys(config.id);
  const { shards } = await readListing(store, keys.listing);
  const labelOf = await readLabelLookup(store, config);
  const read = async (contentsOf: ReadContents): Promise<DividedImage[] | undefined> => {
    const images: DividedImage[] = [];
    for (let index = 0; index < shards; index += 1) {
      signal.throwIfAborted();
      const shard = await readShard(store, keys.shard(index));
      const contents = await contentsOf(store, config, shard);
      if (contents === undefined) return undefined;
      for (const [position, content] of contents) {
        const key = shard.entries[position]?.key ?? "";
        const label = labelOf(key);
        if (label === undefined) throw unlabelled(config.id, key);
        const tokens = tokensOf(key, content, division.groupOf(key));
        images.push({ shard: index, position, key, label, content, tokens });
      }
    }
    return images;
  };
  // A shard of an earlier version does not say what bytes its files have.
  return (await read(fileHashes)) ?? (await read(embeddingHashes)) ?? [];
}

type ReadContents = (
  store: ObjectStore,
  config: ResolvedRun,
  shard: Shard,
) => Promise<ImageContents | undefined>;

function tokensOf(key: string, content: string, group: string | undefined): string[] {
  const named = [
    `key:${key.normalize("NFC")}`,
    `content:${content}`,
    ...(group === undefined ? [] : [`group:${group}`]),
  ];
  return named.map((name) => sha256Hex(name).slice(0, 24));
}

function unlabelled(id: string, key: string): TrommelError {
  return new TrommelError("corrupt", `cannot divide ${id}: ${JSON.stringify(key)} has no label`, {
    context: { key },
  });
}
