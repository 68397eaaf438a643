import { TrommelError, type RunConfig, type Shard } from "@trommel/common";
import { contentIdentity, ImageIdentities, isListedAs } from "@trommel/common/artefacts";
import { sha256OfFile } from "../../image/decode/file-hash.js";
import { ShardViews } from "../../image/views/shard-views.js";
import type { DeviceStageContext } from "../context.js";
import type { ResolvedRun } from "../inputs/run.js";
import { runBatches } from "../images/run-batches.js";

/**
 * Checks an existing feature shard against the images of a run that found it by its hash. The hash knows keys, sizes and
 * etags, and the etags of a folder are sizes and times: a folder elsewhere may have the same ones and other images. What
 * was listed in the same place is believed; of another folder's the files are read. A bucket's etags tell contents apart.
 * @param marker that of the standing shard; one of an earlier version does not say what its rows are of, and is believed
 * @throws TrommelError `conflict` where the rows are of other images
 */
export async function checkOrigin(
  config: ResolvedRun,
  shard: Shard,
  marker: Parameters<typeof ImageIdentities.unpack>[0] & {
    readonly failed: readonly { readonly position: number }[];
  },
  context: DeviceStageContext,
): Promise<void> {
  const identities = ImageIdentities.unpack(marker);
  if (identities === undefined || !config.dataset.startsWith("file:")) return;
  const foreign = fromElsewhere(config, shard, marker.failed, identities);
  if (foreign.size === 0) return;
  const views = new ShardViews(config.recipe, shard.entries);
  await runBatches({
    entries: shard.entries,
    source: config.dataset,
    decode: { ...config.recipe.decode, side: config.side },
    batchSize: 1,
    context,
    skip: new Set([...shard.entries.keys()].filter((position) => !foreign.has(position))),
    recognise: async (position, bytes) => {
      const content = contentIdentity(await sha256OfFile(bytes), views.of(position));
      if (Buffer.compare(content, foreign.get(position)!) !== 0)
        throw otherImage(config, shard.entries[position]!.key);
      return true;
    },
    run: () => Promise.resolve(),
  });
}

/** What the rows are of, by position, of the images that were listed in another place. */
function fromElsewhere(
  { dataset }: RunConfig,
  { entries }: Shard,
  failed: readonly { readonly position: number }[],
  identities: ImageIdentities,
): Map<number, Uint8Array> {
  const left = new Set(failed.map(({ position }) => position));
  const kept = [...entries.entries()].filter(([position]) => !left.has(position));
  const foreign = new Map<number, Uint8Array>();
  for (const [ordinal, [position, entry]] of kept.entries()) {
    if (!isListedAs(identities.listed(ordinal), dataset, entry))
      foreign.set(position, identities.content(ordinal));
  }
  return foreign;
}

function otherImage({ dataset }: RunConfig, key: string): TrommelError {
  return new TrommelError(
    "conflict",
    `cannot reuse the features of a shard of ${dataset}: they come from another folder, where ${JSON.stringify(key)} has ` +
      `the same size and time and is another picture. Give the dataset's files another time ('touch') and train under another name`,
    { context: { dataset, key } },
  );
}
