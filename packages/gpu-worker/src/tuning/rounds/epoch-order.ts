import { SeededRandom, seedFrom } from "@trommel/common";
import type { TuningRounds } from "@trommel/common/artefacts";

/** The images of an epoch, in its order: a permutation that comes from (seed, epoch) and nothing else. @param epoch from 1 */
export function epochOrder(images: number, seed: number, epoch: number): Int32Array {
  const random = new SeededRandom(seedFrom(seed, "tuning order", epoch));
  return random.shuffle(Int32Array.from({ length: images }, (_, image) => image));
}

/**
 * The number of a replica's batch within its epoch: the replicas take turns. So each of them sees images from all over the order,
 * and with one replica the batches are those of an uninterrupted loop.
 * @param step of the replica, within the epoch, from 0
 */
export function batchNumber(
  { replicas }: Pick<TuningRounds, "replicas">,
  replica: number,
  step: number,
): number {
  return step * replicas + replica;
}

/** The images of a batch of that number. */
export function imagesOfBatch(
  order: Int32Array,
  { batchSize }: Pick<TuningRounds, "batchSize">,
  batch: number,
): Int32Array {
  return order.subarray(batch * batchSize, (batch + 1) * batchSize);
}
