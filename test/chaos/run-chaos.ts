import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "@trommel/common";
import { differences, type RoundNames } from "./artefacts.js";
import { clusterSize, startChaosCluster, type ChaosCluster } from "./processes/chaos-cluster.js";
import { buildReport, type ChaosReport, type RoundReport } from "./chaos-report.js";
import { scheduleFaults } from "./faults/fault-schedule.js";
import { FaultInjector } from "./faults/inject-faults.js";
import { CommandSlot, DidNotEnd } from "./commands.js";
import { checkRound, clearRound, finishRound, type RoundKind } from "./round.js";

export interface ChaosOptions {
  readonly minutes: number;
  /**
   * When the faults end. `by-time`: after the minutes; from two minutes on they continue until each kind has met something, for
   * at most twice the time. `every-kind-met`: as soon as each kind has met something, at the latest after the minutes, which are
   * stretched by the pace on a slow machine. @default "by-time"
   */
  readonly faultsEnd?: "by-time" | "every-kind-met";
  readonly seed: number;
  /** Takes a line about each fault and round. */
  readonly say: (line: string) => void;
  /** Where what the processes say is kept. @default a temporary folder, removed at the end */
  readonly folder?: string;
}

/**
 * What the undisturbed rounds take on two idle cores. Where it takes longer, faults come more slowly in proportion, or workers
 * would be killed faster than they can start.
 */
const usualRoundMs = 25_000;
const paceAtMost = 3;
const kinds: readonly RoundKind[] = ["tuned", "scored"];
/** Shorter runs need not meet every kind of fault. */
const leastMinutesForEveryKind = 2;

/**
 * Trains and scores over and over while faults are drawn from the seed, and compares each round with one that nothing
 * disturbed. The last round is ended in peace.
 */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), "trommel-chaos-")));
  await mkdir(folder, { recursive: true });
  const cluster = await startChaosCluster(folder);
  try {
    return await disturb(cluster, options);
  } finally {
    for (const failure of await cluster.stop()) options.say(`failed to release ${failure}`);
    if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
  }
}

async function disturb(cluster: ChaosCluster, options: ChaosOptions): Promise<ChaosReport> {
  const { minutes, seed, say } = options;
  const slot = new CommandSlot(cluster.env);
  const startedAt = performance.now();
  const elapsed = (): string => `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
  const injector = new FaultInjector(cluster, slot, (line) => say(`${elapsed()}  ${line}`));
  const peaceStartedAt = performance.now();
  const undisturbed = {
    scored: await peacefulRound("scored", cluster, slot),
    tuned: await peacefulRound("tuned", cluster, slot),
  };
  const pace = Math.min(paceAtMost, Math.max(1, (performance.now() - peaceStartedAt) / usualRoundMs));
  say(
    `${elapsed()}  undisturbed: ${undisturbed.scored.size} artefacts, tuned ${undisturbed.tuned.size}; pace ${pace.toFixed(1)}`,
  );
  const over = new AbortController();
  const ending = untilEnough(injector, options, pace, over.signal).then(() => over.abort());
  const injecting = injector.run(scheduleFaults(seed, clusterSize), pace, over.signal);
  const rounds: RoundReport[] = [];
  try {
    // One round of each kind at least.
    for (let number = 1; !over.signal.aborted || rounds.length < kinds.length; number += 1) {
      const kind = kinds[number % kinds.length] ?? "scored";
      const round = await disturbedRound(kind, number, cluster, slot, injector, undisturbed[kind]);
      rounds.push(round);
      say(
        `${elapsed()}  round ${number}, ${kind}: ${round.problems.length === 0 ? "the same" : round.problems.join("; ")}`,
      );
      for (const { command, code, message } of round.givenUp)
        say(`  ${command} gave up: ${code}: ${message}`);
      if (!round.ended) break;
    }
  } finally {
    over.abort();
    await Promise.all([ending, injecting]);
    await injector.shut();
  }
  return buildReport({ seed, minutes, cluster, injector, rounds });
}

async function untilEnough(
  injector: FaultInjector,
  { minutes, faultsEnd = "by-time" }: ChaosOptions,
  pace: number,
  signal: AbortSignal,
): Promise<void> {
  const pass = async (factor = 1): Promise<void> =>
    sleep(minutes * factor * 60_000, undefined, { signal }).catch(() => undefined);
  if (faultsEnd === "every-kind-met") {
    await Promise.race([pass(pace), injector.metEveryKind]);
    return;
  }
  await pass();
  if (minutes >= leastMinutesForEveryKind) await Promise.race([pass(), injector.metEveryKind]);
}

/** Names of one length: markers have the sizes of texts that have them in them. */
function namesOf(number: number): RoundNames {
  const run = `round-${String(number).padStart(4, "0")}`;
  return { run, output: `s3://scores/${run}` };
}

async function peacefulRound(
  kind: RoundKind,
  cluster: ChaosCluster,
  slot: CommandSlot,
): Promise<ReadonlyMap<string, string>> {
  const names = namesOf(0);
  const givenUp = await finishRound(kind, names, slot, cluster);
  const { artefacts, lost, doubled } = await checkRound(kind, names, cluster);
  if (givenUp.length + lost.length + doubled.length > 0)
    throw new Error(`the undisturbed round (${kind}) failed: ${JSON.stringify({ givenUp, lost, doubled })}`);
  await clearRound(names, cluster);
  return artefacts;
}

async function disturbedRound(
  kind: RoundKind,
  number: number,
  cluster: ChaosCluster,
  slot: CommandSlot,
  injector: FaultInjector,
  undisturbed: ReadonlyMap<string, string>,
): Promise<RoundReport> {
  const names = namesOf(number);
  const base = { number, givenUp: [], lost: [], doubled: [], different: [], undrained: [] };
  injector.open();
  try {
    const givenUp = await finishRound(kind, names, slot, cluster);
    await injector.shut();
    const { artefacts, lost, doubled } = await checkRound(kind, names, cluster);
    const different = differences(artefacts, undisturbed);
    const undrained = await clearRound(names, cluster);
    const problems = [
      ...lost.map((row) => `lost ${row}`),
      ...doubled.map((row) => `doubled ${row}`),
      ...different,
      ...undrained.map((name) => `${name} did not end with 0 after SIGTERM`),
    ];
    return { number, ended: true, givenUp, lost, doubled, different, undrained, problems };
  } catch (thrown) {
    await injector.shut();
    const what = thrown instanceof DidNotEnd ? "it did not end" : "it could not be checked";
    return { ...base, ended: false, problems: [`${what}: ${messageOf(thrown)}`] };
  }
}
