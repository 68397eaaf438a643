import type { FailedImage, ObjectStore, ShardEntry } from "@trommel/common";
import { imageSource, isRefused, otherRoots, type OtherStores } from "../../image/read/image-source.js";
import { streamImages, type ImageStreamOptions, type ImageBounds } from "../../image/read/image-stream.js";
import type { ResolvedDecodeRecipe } from "../../image/decode/decode-image.js";
import type { DeviceStageContext } from "../context.js";
import { OneByOne } from "./one-by-one.js";
import { ImageBatches, type ImageBatch } from "./image-batches.js";

/** Batches of a shard for each one that the device computes at once: one runs, one waits. */
const batchesPerSession = 2;
/** Decoded images that wait for the device, in batches. */
const windowBatches = 4;

/**
 * A shard's files through the device: fetched and decoded many at once, packed in shard order, and handed to `run` with
 * a bounded number of batches under way. If a worker died of the shard they are decoded one by one, those first that
 * it may have died of.
 * @param run takes a batch to its end; called in shard order, settles in any
 * @returns a typed reason for each file that was in no batch, in shard order
 * @throws TrommelError what `run` or the source throws; nothing is under way any more by then
 */
export async function runBatches(options: BatchOptions): Promise<FailedImage[]> {
  const { sources } = options.context;
  return sources.use(options.source, (source) =>
    sources.useAll(otherRoots(options.entries), (others) => runBatchesFrom(source, others, options)),
  );
}

interface BatchOptions {
  readonly entries: readonly ShardEntry[];
  /** Location of the files that name no other themselves. */
  readonly source: string;
  readonly decode: ResolvedDecodeRecipe;
  /** Images per batch. */
  readonly batchSize: number;
  readonly context: DeviceStageContext;
  /** @default those of streamImages */
  readonly bounds?: ImageBounds;
  readonly run: (batch: ImageBatch) => Promise<void>;
  /** Positions of the entries that are left alone. @default none */
  readonly skip?: ReadonlySet<number>;
  /** Gets every other file's bytes, twice if it is decoded alone first. @returns whether it need not be in a batch */
  readonly recognise?: (position: number, bytes: Uint8Array) => Promise<boolean>;
}

/** Reasons that a store which is gone, or whose login has ended, gives every file. */
const mayBeOfStore: ReadonlySet<FailedImage["reason"]> = new Set(["not-found", "forbidden", "store-refused"]);

async function runBatchesFrom(
  source: ObjectStore,
  others: OtherStores,
  options: BatchOptions,
): Promise<FailedImage[]> {
  const { context, batchSize, skip = new Set() } = options;
  const failed: FailedImage[] = [];
  const running: Promise<void>[] = [];
  let finished = skip.size;
  const submit = (batch: ImageBatch): void => {
    const result = options.run(batch).then(() => {
      finished += batch.positions.length;
      context.onImages(finished + failed.length);
    });
    // A failure is thrown where the batch's turn comes; until then it is not unhandled.
    result.catch(() => undefined);
    running.push(result);
  };
  const { trial, signal } = context;
  const oneByOne =
    trial === undefined ? undefined : await OneByOne.open(trial, { recipe: options.decode, signal });
  const imageFiles = imageSource(source, others, options.entries);
  try {
    const files = {
      ...imageFiles,
      read: async (...asked: Parameters<typeof imageFiles.read>) => {
        const bytes = await imageFiles.read(...asked);
        context.onBytes?.(bytes.byteLength);
        return bytes;
      },
      ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
      decode: options.decode,
      skip,
      recognise: options.recognise,
      signal,
    };
    if (oneByOne !== undefined) await trySuspects(oneByOne, options.entries, files);
    const batches = new ImageBatches(options.decode.side, batchSize);
    const stream = context.streamImages ?? streamImages;
    const { recognise } = options;
    for await (const image of stream({
      ...files,
      entries: options.entries,
      recognise:
        recognise &&
        (async (position, bytes) => {
          const isKnown = await recognise(position, bytes);
          finished += isKnown ? 1 : 0;
          return isKnown;
        }),
      decodeFile:
        oneByOne &&
        ((position, bytes, timeoutMs) => oneByOne.decode(position, bytes, { alone: false, timeoutMs })),
      window: windowBatches * batchSize * context.device.sessionCount,
      budgets: context.budgets,
      order: context.order,
    })) {
      if (!image.ok) {
        const { position, key, reason, detail, tries } = image;
        failed.push({ position, key, reason, detail, tries });
        continue;
      }
      const full = batches.add(image);
      if (full === undefined) continue;
      submit(full);
      if (running.length >= batchesPerSession * context.device.sessionCount) await running.shift();
    }
    const rest = batches.rest();
    if (rest !== undefined) submit(rest);
    await Promise.all(running);
    if (failed.some(({ reason }) => mayBeOfStore.has(reason))) await imageFiles.probe();
    const isNoneRead = failed.length === options.entries.length && failed.length > 0;
    // Whatever was read has been given, so that the other reasons do not matter.
    if (isNoneRead && failed.some(({ reason }) => isRefused(reason))) await imageFiles.requireDelivery();
  } finally {
    await oneByOne?.stop();
    imageFiles.close();
    await Promise.allSettled(running);
  }
  return failed;
}

/** Each alone, while nothing else of the shard is under way: a worker that dies here died of that file or of its machine. */
async function trySuspects(
  oneByOne: OneByOne,
  entries: readonly ShardEntry[],
  files: Omit<ImageStreamOptions, "entries" | "decodeFile" | "window">,
): Promise<void> {
  const { skip, recognise } = files;
  const suspects = oneByOne.suspects.filter((position) => skip?.has(position) !== true);
  for await (const _ of streamImages({
    ...files,
    skip: undefined,
    recognise: recognise && ((place, bytes) => recognise(suspects[place] ?? place, bytes)),
    entries: suspects.flatMap((position) => entries[position] ?? []),
    decodeFile: (place, bytes, timeoutMs) =>
      oneByOne.decode(suspects[place] ?? place, bytes, { alone: true, timeoutMs }),
    window: 1,
  }));
}
