import { isRedisFull, TrommelError, type ListingSummary } from "@trommel/common";
import type { ShardStage } from "@trommel/common/jobs";
import { shardsPerBulk } from "../../run-control/queueing/job-producer.js";
import { JobFeeder } from "./job-feeder.js";
import type { PlanContext } from "../plan-context.js";

/** The progress of a listing. */
export type ListedSoFar = Pick<ListingSummary, "shards" | "images">;

/** The jobs of one stage's shards, from the plan that lists them. */
export interface ShardFeed {
  /** Called with every shard as it is listed; queues what there is room for. */
  listed(soFar: ListedSoFar): Promise<void>;
  /** Called when the listing is complete: queues the rest as room becomes free. */
  finish(): Promise<void>;
}

export function feedShards(
  context: PlanContext,
  options: {
    readonly id: string;
    readonly stage: ShardStage;
    /** The key of a cancellation that did not reach Redis. */
    readonly cancelledKey: string;
    /** Shards that are queued together. */
    readonly unit: number;
    /** Queue the first shard alone, so that work starts with the first page of the listing. */
    readonly firstAlone: boolean;
    /** Tells followers the totals so far. */
    readonly announce: (soFar: ListedSoFar) => Promise<void>;
    readonly add: (start: number, end: number) => Promise<void>;
  },
): ShardFeed {
  const { attempt, store, liveRun, producer, signal } = context;
  const { id, stage, unit, firstAlone } = options;
  let soFar: ListedSoFar = { shards: 0, images: 0 };
  const check = async (): Promise<void> => {
    if ((await liveRun.isOver(attempt)) || (await store.head(options.cancelledKey)) !== undefined)
      throw new TrommelError("cancelled", `cannot plan ${id}: it is over`);
  };
  const feeder = new JobFeeder({
    unit,
    outstandingAtMost: context.outstandingAtMost,
    outstanding: () => producer.outstandingShards(stage, id, attempt),
    nearlyFull: () => producer.isNearlyFull(),
    add: async (start, end) => {
      await options.announce(soFar);
      await options.add(start, end);
    },
    check,
    onFull: context.onFull,
    signal,
  });
  return {
    listed: async (totals) => {
      soFar = { shards: totals.shards, images: totals.images };
      await feeder.offer(totals.shards, { first: firstAlone });
    },
    finish: async () => {
      // Before the wait for room, which may be long, so that followers know the totals.
      await options.announce(soFar).catch(ignoreFull);
      await feeder.finish(soFar.shards);
    },
  };
}

/** The jobs of a stage with independent shards: the first is queued alone, the others in batches. */
export function feedSingleShards(
  context: PlanContext,
  options: {
    readonly id: string;
    readonly stage: ShardStage;
    readonly cancelledKey: string;
    /** Number of the first shard. @default 0 */
    readonly first?: number;
  },
): ShardFeed {
  const { attempt, liveRun, producer } = context;
  const { id, stage, cancelledKey, first = 0 } = options;
  return feedShards(context, {
    ...{ id, stage, cancelledKey },
    unit: Math.min(shardsPerBulk, context.outstandingAtMost),
    firstAlone: true,
    announce: ({ shards, images }) => liveRun.setTotal(attempt, stage, shards, images),
    add: async (start, end) => {
      const units = numbersFrom(first + start, first + end);
      await producer.addUnits(stage, id, attempt, units, await context.costOf(stage));
    },
  });
}

function ignoreFull(thrown: unknown): void {
  if (!isRedisFull(thrown)) throw thrown;
}

/** Shard numbers from `start` up to `end`. */
export function numbersFrom(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, i) => start + i);
}
