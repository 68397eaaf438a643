import { canonicalJson, jobId, TrommelError, type JobPayload } from "@trommel/common";
import { barrierOf } from "#common/jobs/pipeline";
import { shardsPerBulk } from "#coordinator/run-control/queueing/job-producer";
import { add, going, refuseIfOver } from "./run-model-queue.js";
import type { Holder, ModelShard, Plan, RunModel } from "./run-model-state.js";

/** Prefix to shards to jobs, in steps between which a coordinator may die or be paused. */

/** Files whose key no stage takes. */
const isSkipped = (file: number): boolean => file % 7 === 3;

export function beginPlan(state: RunModel, holder: Holder): RunModel {
  const { stage } = holder.payload;
  const normalized = state.store.has("normalization");
  if (stage === "plan-measure" && normalized) return going(state, holder, { at: "finish" });
  if (stage === "plan-run" && state.measured && !normalized)
    throw new TrommelError("missing-input", "failed to read the normalization");
  const listing = state.store.get("listing");
  const complete = listing === undefined ? undefined : Number(listing.split(" ")[0]);
  const plan = {
    complete,
    seen: undefined,
    shards: [],
    unqueued: [],
    flushing: false,
    ended: false,
    grams: 0,
  };
  return going(state, holder, { at: "plan", plan });
}

/** One shard file, one round trip to Redis, or the listing's end. */
export function planOn(state: RunModel, holder: Holder, plan: Plan): RunModel {
  if (plan.flushing) return flush(state, holder, plan);
  if (plan.ended) return going(state, holder, { at: "finish" });
  const { store, next, seen } = nextShard(state, plan);
  const now = { ...state, store };
  if (next === undefined) return endListing(now, holder, { ...plan, seen });
  const index = plan.shards.length;
  const unqueued = [...plan.unqueued, index];
  const size = holder.payload.stage === "plan-run" ? state.rules.shardsPerGram : shardsPerBulk;
  const alone = holder.payload.stage !== "plan-run" && index === 0;
  const flushing = unqueued.length === size || alone;
  return going(now, holder, {
    at: "plan",
    plan: { ...plan, seen, shards: [...plan.shards, next], unqueued, flushing },
  });
}

function nextShard(
  state: RunModel,
  { complete, seen, shards }: Plan,
): { store: RunModel["store"]; next: ModelShard | undefined; seen: readonly number[] | undefined } {
  const { store } = state;
  if (shards.length === complete) return { store, next: undefined, seen };
  const name = `shard/${shards.length}`;
  const existing = store.get(name);
  if (seen === undefined && existing !== undefined)
    return { store, next: JSON.parse(existing) as ModelShard, seen };
  const listing = seen ?? state.source;
  const last = Math.max(-Infinity, ...shards.flatMap(({ entries, skipped }) => [...entries, ...skipped]));
  const next = cut(
    listing.filter((file) => file > last),
    state.shardSize,
  );
  if (next === undefined) return { store, next, seen: listing };
  const content = canonicalJson(next);
  if (existing !== undefined && existing !== content && state.rules.listsOnce)
    throw new TrommelError("conflict", `failed to write ${name}`, { retryable: true });
  return { store: new Map(store).set(name, content), next, seen: listing };
}

function cut(files: readonly number[], shardSize: number): ModelShard | undefined {
  if (files.length === 0) return undefined;
  const entries: number[] = [];
  const skipped: number[] = [];
  for (const file of files) {
    (isSkipped(file) ? skipped : entries).push(file);
    if (entries.length === shardSize) break;
  }
  return { entries, skipped };
}

function endListing(state: RunModel, holder: Holder, plan: Plan): RunModel {
  const listed = plan.shards.reduce((sum, { entries, skipped }) => sum + entries.length + skipped.length, 0);
  if (plan.shards.every(({ entries }) => entries.length === 0))
    throw new TrommelError("bad-dataset", "failed to list: nothing is there");
  const content = `${plan.shards.length} ${listed}`;
  const existing = state.store.get("listing");
  if (existing !== undefined && existing !== content && state.rules.listsOnce)
    throw new TrommelError("conflict", "failed to write the listing", { retryable: true });
  const store = new Map(state.store).set("listing", content);
  const flushing = plan.unqueued.length > 0;
  return going({ ...state, store }, holder, { at: "plan", plan: { ...plan, flushing, ended: true } });
}

function flush(state: RunModel, holder: Holder, plan: Plan): RunModel {
  const { payload } = holder;
  refuseIfOver(state, payload, false);
  const queued = queueUnits(state, payload, plan);
  const grams = payload.stage === "plan-run" ? plan.grams + 1 : plan.grams;
  return going(queued, holder, { at: "plan", plan: { ...plan, unqueued: [], flushing: false, grams } });
}

function queueUnits(state: RunModel, { stage, id, attempt }: JobPayload, plan: Plan): RunModel {
  const below = (now: RunModel, unit: "measure" | "extract" | "score", parent: string): RunModel =>
    plan.unqueued.reduce((then, shard) => add(then, { stage: unit, id, attempt, shard }, parent), now);
  if (stage === "plan-measure")
    return below(state, "measure", jobId({ stage: barrierOf("measure"), id, attempt }));
  if (stage === "plan-scoring")
    return below(state, "score", jobId({ stage: barrierOf("score"), id, attempt }));
  const gram = { stage: "gram", id, attempt, gram: plan.grams } as const;
  const withGram = add(state, gram, jobId({ stage: barrierOf("gram"), id, attempt }), true);
  return below(withGram, "extract", jobId(gram));
}
