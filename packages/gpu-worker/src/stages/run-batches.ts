import { openStore, type FailedRow, type ShardEntry } from "@trommel/common";
import { pictureSource } from "../image/picture-source.js";
import { streamPictures, type PictureBounds } from "../image/picture-stream.js";
import type { ResolvedDecodeRecipe } from "../image/decode-image.js";
import type { DeviceStageContext } from "./context.js";
import { PictureBatches, type PictureBatch } from "./picture-batches.js";

/** Of a shard, for each batch that the device computes at once: one runs, one waits. */
const batchesPerLane = 2;
/** Decoded pictures that wait for the device, in batches. */
const windowBatches = 4;

/**
 * A shard's files through the device: fetched and decoded many at once, packed in shard order, and handed to `run` with
 * a bounded number of batches under way.
 * @param run takes a batch to its end; called in shard order, settles in any
 * @returns a typed reason for each file that was in no batch, in shard order
 * @throws TrommelError what `run` or the source throws; nothing is under way any more by then
 */
export async function runBatches(options: {
  readonly entries: readonly ShardEntry[];
  /** Location of the files. */
  readonly source: string;
  readonly decode: ResolvedDecodeRecipe;
  /** Pictures per batch. */
  readonly batchSize: number;
  readonly context: DeviceStageContext;
  /** @default those of streamPictures */
  readonly bounds?: PictureBounds;
  readonly run: (batch: PictureBatch) => Promise<void>;
}): Promise<FailedRow[]> {
  const { context, batchSize } = options;
  const failed: FailedRow[] = [];
  const running: Promise<void>[] = [];
  let finished = 0;
  const submit = (batch: PictureBatch): void => {
    const result = options.run(batch).then(() => {
      finished += batch.positions.length;
      context.onImages(finished + failed.length);
    });
    // A failure is thrown where the batch's turn comes; until then it is not unhandled.
    result.catch(() => undefined);
    running.push(result);
  };
  const source = openStore(options.source);
  const pictures = pictureSource(source);
  try {
    const batches = new PictureBatches(options.decode.side, batchSize);
    for await (const picture of streamPictures({
      entries: options.entries,
      ...pictures,
      ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
      decode: options.decode,
      window: windowBatches * batchSize * context.device.laneCount,
      signal: context.signal,
    })) {
      if (!picture.ok) {
        const { position, key, reason, detail, tries } = picture;
        failed.push({ position, key, reason, detail, tries });
        continue;
      }
      const full = batches.add(picture);
      if (full === undefined) continue;
      submit(full);
      if (running.length >= batchesPerLane * context.device.laneCount) await running.shift();
    }
    const rest = batches.rest();
    if (rest !== undefined) submit(rest);
    await Promise.all(running);
    if (failed.some(({ reason }) => reason === "not-found" || reason === "forbidden")) await pictures.probe();
  } finally {
    await Promise.allSettled(running);
    source.close();
  }
  return failed;
}
