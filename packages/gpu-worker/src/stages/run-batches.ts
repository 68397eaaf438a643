import {
  openStore,
  toTrommelError,
  TrommelError,
  type FailedRow,
  type ObjectStore,
  type ShardEntry,
} from "@trommel/common";
import { streamPictures } from "../image/picture-stream.js";
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
  try {
    const batches = new PictureBatches(options.decode.side, batchSize);
    for await (const picture of streamPictures({
      entries: options.entries,
      read: (key, maxBytes, signal) => source.get(key, { maxBytes, signal }),
      decode: options.decode,
      window: windowBatches * batchSize * context.device.laneCount,
      budgets: context.budgets,
      signal: context.signal,
    })) {
      if (!picture.ok) {
        const { position, key, reason, detail } = picture;
        failed.push({ position, key, reason, detail });
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
    if (failed.some(({ reason }) => reason === "not-found" || reason === "forbidden"))
      await checkSource(source);
  } finally {
    await Promise.allSettled(running);
    source.close();
  }
  return failed;
}

/**
 * A folder that is not mounted here, a bucket that went away and a token that ran out look like missing or forbidden
 * files one by one. They must not be committed as such: then the shard is for another try or another worker.
 */
async function checkSource(source: ObjectStore): Promise<void> {
  try {
    for await (const _ of source.list("")) return;
  } catch (thrown) {
    const { code, message } = toTrommelError(thrown);
    throw new TrommelError(code, message, { retryable: true, cause: thrown });
  }
}
