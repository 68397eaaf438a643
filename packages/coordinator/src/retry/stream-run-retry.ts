import { runKeys, TrommelError, type ListingSummary, type RunConfig, type Shard } from "@trommel/common";
import { range, readAhead } from "@trommel/common/store";
import { ShardOutcomes, shardsReadAtOnce } from "./shard-outcomes.js";
import type { PlanContext } from "../plan/plan-context.js";
import { streamRetryShards } from "./stream-retry-shards.js";
import { jsonBytes, putJsonOnce } from "@trommel/common/codec";
import { findListing, findShard } from "@trommel/common/artefacts";

type RetryRun = RunConfig & { readonly retryOf: NonNullable<RunConfig["retryOf"]> };

export function isRetryRun(config: RunConfig): config is RetryRun {
  return config.retryOf !== undefined;
}

/**
 * The listing of the run that a run retries.
 * @throws TrommelError `missing-input` if it was not finished
 */
async function readListingOfRetried(
  config: RetryRun,
  { store }: Pick<PlanContext, "store">,
): Promise<ListingSummary> {
  const { run } = config.retryOf;
  const listing = await findListing(store, runKeys(run).listing);
  if (listing !== undefined) return listing;
  throw new TrommelError(
    "missing-input",
    `cannot plan ${config.id}: ${run}, whose failed files it tries again, is not listed to its end. Resume ${run}, then ${config.id}`,
    { context: { run } },
  );
}

/**
 * The shards of another run under this run or scoring, byte for byte: equal hashes find equal features.
 * @param to their keys here
 */
export async function* copyShards(
  id: string,
  from: { readonly run: string; readonly shards: number },
  to: (index: number) => string,
  { store, signal }: Pick<PlanContext, "store" | "signal">,
): AsyncGenerator<Shard> {
  yield* readAhead(range(0, from.shards), shardsReadAtOnce, async (index) => {
    signal.throwIfAborted();
    const key = runKeys(from.run).shard(index);
    const shard = await findShard(store, key);
    if (shard === undefined)
      throw new TrommelError("missing-input", `cannot plan ${id}: ${key} is missing`, { context: { key } });
    await putJsonOnce(store, to(index), jsonBytes(shard));
    return shard;
  });
}

/**
 * The shards of a run that retries the failed images of another, as a stream.
 *
 * In: the other run's shards and the markers of their features. Out: the same shards under this run, byte for byte, so that
 * their features are this run's too, and after them new shards of the failed images.
 */
export async function* streamRunRetry(config: RetryRun, context: PlanContext): AsyncGenerator<Shard> {
  const { store, signal } = context;
  const listing = await readListingOfRetried(config, context);
  const { shards, listed, retriedFrom = shards } = listing;
  const to = runKeys(config.id);
  yield* copyShards(config.id, { run: config.retryOf.run, shards }, to.shard, context);
  const outcomes = await ShardOutcomes.open(store, { kind: "run", id: config.id, config });
  try {
    yield* streamRetryShards({
      outcomes,
      span: { retriedFrom, shards, listed },
      reasons: config.retryOf.reasons,
      store,
      shardKey: to.shard,
      shardSize: config.recipe.shardSize,
      config,
      signal,
    });
  } finally {
    outcomes.close();
  }
}
