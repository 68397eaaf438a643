import { findMarker, runKeys, TrommelError, type RunConfig } from "@trommel/common";
import {
  checkpointMarker,
  findTuningPlan,
  foldRunsOf,
  isTuned,
  networkRunsOf,
  readRoundFigures,
  replicaJob,
  tunedKeyOf,
  untunedOf,
  writeTuningPlan,
  type TuningPlan,
  type TuningRounds,
} from "@trommel/common/artefacts";
import { markerKeyOf } from "@trommel/common/codec";
import { unitJob } from "@trommel/common/jobs";
import { isQueued } from "@trommel/common/redis";
import { awaitEnd, awaitFoldRuns, awaitRun, refuseFailed } from "./await-run.js";
import { forecastRounds, refuseUnknownClasses } from "./before-rounds.js";
import type { PlanContext } from "./plan-context.js";
import { PlanLater } from "./plan-later.js";

/** How soon it looks again for the end of a round. */
const roundDelayMs = 250;

/**
 * Plans the rounds of a run that tunes its backbone.
 *
 * In: the run without tuning, whose bundle it waits for, and the checkpoints. Out: `tuning/plan.json`, the numbers of the rounds, and for
 * one round after another the replicas' jobs, children of the merge that waits for them, itself below the waiting adopt job. It holds no
 * place in the queue while it waits, and knows how far it is from the plan and the checkpoints' markers alone: another coordinator
 * continues it. A run that takes the networks of its folds only waits for them.
 * @throws PlanLater until the rounds are over; TrommelError that of the run without tuning, or of one that tunes for a fold, if that one
 *   has failed
 */
export async function planTune(config: RunConfig, context: PlanContext): Promise<void> {
  const { attempt, store, producer, liveRun } = context;
  const { id } = config;
  if ((await findMarker(store, tunedKeyOf(config))) !== undefined) return;
  const networks = networkRunsOf(config);
  if (networks.length > 0) {
    await liveRun.setTotal(attempt, "plan-tune", 1);
    await refuseFailed(networks, context);
    await awaitFoldRuns(networks, { config, stage: "plan-tune", context });
    return;
  }
  const plan = (await findTuningPlan(store, id)) ?? (await beginTuning(config, context));
  const { rounds } = plan;
  const merged = await mergedRounds(config, rounds, context);
  await announceRounds(rounds, merged, context);
  // Its jobs end with the error; the next stage says what is missing.
  if ((await liveRun.state())?.error !== undefined) return;
  const isUnderWay = (round: number): Promise<boolean> =>
    isQueued(producer.redis, unitJob("merge", id, attempt, round));
  if (await isUnderWay(merged)) throw new PlanLater(roundDelayMs);
  if (merged === 0) await forecastRounds(config, plan, context);
  // A merge that ended between its two writes is queued again, and only adds the second.
  const isWhole = merged === 0 || (await store.head(runKeys(id).tuning.round(merged - 1))) !== undefined;
  if (isWhole && (await isOver(config, rounds, merged, context))) return;
  const round = isWhole ? merged : merged - 1;
  if (!(await isUnderWay(round)) && !(await isMerged(config, round, context))) {
    await refuseFailed(foldRunsOf(config), context);
    const jobs = Array.from({ length: rounds.replicas }, (_, replica) => replicaJob(rounds, round, replica));
    await producer.addGroup("tune", id, attempt, round, jobs, await context.costOf("tune"));
  }
  throw new PlanLater(roundDelayMs);
}

/**
 * Waits for the run without tuning, and for the end of the one to continue from, whose last checkpoint changes before; then writes the
 * numbers of the rounds.
 * @throws PlanLater while one of them is under way
 */
async function beginTuning(config: RunConfig, context: PlanContext): Promise<TuningPlan> {
  const { attempt, store, liveRun } = context;
  await refuseUnknownClasses(config, store);
  await liveRun.setTotal(attempt, "plan-tune", 1);
  const waiting = { config, stage: "plan-tune", context } as const;
  await awaitRun(untunedOf(config) ?? "", waiting);
  const from = config.recipe.tune?.from ?? null;
  if (from !== null) await awaitEnd(from, waiting);
  await liveRun.setNote(attempt, "plan-tune", "");
  return writeTuningPlan(store, config);
}

/** Shows an attempt's followers the rounds of the attempts before, once: the workers count the others. */
async function announceRounds(rounds: TuningRounds, merged: number, context: PlanContext): Promise<void> {
  const { attempt, liveRun } = context;
  if ((await liveRun.progress(attempt, "merge")).total > 0) return;
  for (let round = 0; round < merged; round += 1) await countRound(rounds, round, context);
  await liveRun.setTotal(attempt, "tune", rounds.rounds * rounds.replicas);
  await liveRun.setTotal(attempt, "merge", rounds.rounds);
}

/** The figures are read where patience asks for them, and only at the end of an epoch. */
async function isOver(
  config: RunConfig,
  rounds: TuningRounds,
  merged: number,
  { store }: PlanContext,
): Promise<boolean> {
  if (merged >= rounds.rounds) return true;
  const tune = tuneOf(config);
  if (tune.patience === null || merged % rounds.roundsPerEpoch !== 0) return false;
  return isTuned(await readRoundFigures(store, config.id, merged), rounds, tune);
}

/** Looked at after the queue, because the job ends after it has written both. */
async function isMerged({ id }: RunConfig, round: number, { store }: PlanContext): Promise<boolean> {
  const { checkpoint, round: figures } = runKeys(id).tuning;
  const isThere = async (key: string): Promise<boolean> => (await store.head(key)) !== undefined;
  return (await isThere(markerKeyOf(checkpoint(round + 1)))) && (await isThere(figures(round)));
}

/** How many rounds are merged: all before the last checkpoint that is there. */
async function mergedRounds(
  { id }: RunConfig,
  { rounds }: TuningRounds,
  { store }: PlanContext,
): Promise<number> {
  const { checkpoints, checkpoint } = runKeys(id).tuning;
  const found = new Set<string>();
  for await (const { key } of store.list(checkpoints)) found.add(key);
  for (let round = rounds; round > 0; round -= 1) {
    if (!found.has(`${checkpoint(round)}.json`)) continue;
    if ((await findMarker(store, checkpoint(round), checkpointMarker)) !== undefined) return round;
  }
  return 0;
}

async function countRound({ replicas }: TuningRounds, round: number, context: PlanContext): Promise<void> {
  const { liveRun, attempt } = context;
  await liveRun.countDone(attempt, "merge", round);
  for (let replica = 0; replica < replicas; replica += 1)
    await liveRun.countDone(attempt, "tune", replicaJob({ replicas }, round, replica));
}

function tuneOf({ id, recipe: { tune } }: RunConfig): NonNullable<typeof tune> {
  if (tune !== null) return tune;
  throw new TrommelError("internal", `cannot plan the rounds of ${id}: its recipe tunes nothing`);
}
