import type { ChaosCluster } from "./processes/chaos-cluster.js";
import type { FaultInjector } from "./faults/inject-faults.js";
import type { GivenUp } from "./commands.js";

/** A round under faults, and what was found. */
export interface RoundReport {
  readonly number: number;
  readonly ended: boolean;
  readonly givenUp: readonly GivenUp[];
  readonly lost: readonly string[];
  readonly doubled: readonly string[];
  readonly different: readonly string[];
  /** Workers that did not end with 0 when they were told to between the rounds. */
  readonly undrained: readonly string[];
  /** All of it in words. */
  readonly problems: readonly string[];
}

export interface ChaosReport {
  readonly seed: number;
  readonly minutes: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly faultsMissed: number;
  readonly requests: number;
  readonly spoiltRequests: Readonly<Record<string, number>>;
  /** Rounds that ended, about as many of each kind. */
  readonly roundsEnded: number;
  readonly roundsUnended: number;
  readonly shardsCommitted: number;
  readonly shardsRepeated: number;
  readonly shardsRecommitted: number;
  readonly rowsLost: number;
  readonly rowsDoubled: number;
  readonly artefactsDifferent: number;
  readonly takeOvers: {
    /** Processes that were killed while they had a job. */
    readonly kills: number;
    /** Jobs that they had and that were taken over. */
    readonly count: number;
    readonly medianMs: number | null;
    readonly largestMs: number | null;
    readonly unmeasured: number;
    readonly abandoned: readonly string[];
  };
  /** Commands that ended by themselves without success and were given again, by error code. */
  readonly commandsGivenUp: Readonly<Record<string, number>>;
  /** Servers that ended by themselves, or after SIGTERM with another code than 0. */
  readonly oddEnds: Readonly<Record<string, number>>;
  readonly problems: readonly string[];
}

export function buildReport(from: {
  readonly seed: number;
  readonly minutes: number;
  readonly cluster: ChaosCluster;
  readonly injector: FaultInjector;
  readonly rounds: readonly RoundReport[];
}): ChaosReport {
  const { seed, minutes, cluster, injector, rounds } = from;
  const sum = (of: (round: RoundReport) => number): number =>
    rounds.reduce((total, round) => total + of(round), 0);
  const { kills, timesMs, unmeasured, abandoned } = cluster.takeOvers;
  const sorted = [...timesMs].sort((a, b) => a - b);
  const ends = [...cluster.workers, ...cluster.coordinators].flatMap((process) => process.ends);
  const odd = ends.filter(
    ({ asked, code }) => asked === undefined || (asked === "SIGTERM" && code !== 0 && code !== null),
  );
  return {
    seed,
    minutes,
    faults: Object.fromEntries(injector.injected),
    faultsMissed: injector.missed,
    requests: cluster.proxy.requests,
    spoiltRequests: Object.fromEntries(cluster.proxy.spoilt),
    roundsEnded: sum(({ ended }) => (ended ? 1 : 0)),
    roundsUnended: sum(({ ended }) => (ended ? 0 : 1)),
    shardsCommitted: cluster.commits.committed,
    shardsRepeated: cluster.commits.repeated,
    shardsRecommitted: cluster.commits.recommitted,
    rowsLost: sum(({ lost }) => lost.length),
    rowsDoubled: sum(({ doubled }) => doubled.length),
    artefactsDifferent: sum(({ different }) => different.length),
    takeOvers: {
      kills,
      count: sorted.length,
      medianMs: sorted[Math.floor(sorted.length / 2)] ?? null,
      largestMs: sorted.at(-1) ?? null,
      unmeasured,
      abandoned,
    },
    commandsGivenUp: count(rounds.flatMap(({ givenUp }) => givenUp.map(({ code }) => code))),
    oddEnds: count(
      odd.map(({ name, asked, code }) => `${name.replace(/-\d+$/, "")} ${asked ?? "by itself"} ${code}`),
    ),
    problems: rounds.flatMap(({ number, problems }) =>
      problems.map((problem) => `round ${number}: ${problem}`),
    ),
  };
}

/** Whether all went as promised. */
export function isSound(report: ChaosReport): boolean {
  return report.problems.length === 0 && report.roundsEnded > 0 && report.takeOvers.abandoned.length === 0;
}

/** For people. */
export function describeReport(report: ChaosReport): string {
  const { takeOvers } = report;
  const table = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .map(([name, times]) => `${name} ${times}`)
      .join(", ") || "none";
  const total = (counts: Readonly<Record<string, number>>): number =>
    Object.values(counts).reduce((sum, times) => sum + times, 0);
  const seconds = (ms: number | null): string => (ms === null ? "–" : `${(ms / 1000).toFixed(1)} s`);
  return [
    `seed ${report.seed}, ${report.minutes} minutes`,
    `faults injected: ${total(report.faults)} (${table(report.faults)})`,
    `requests spoilt: ${total(report.spoiltRequests)} of ${report.requests} (${table(report.spoiltRequests)})`,
    `rounds ended: ${report.roundsEnded}; not ended: ${report.roundsUnended}`,
    `shards committed: ${report.shardsCommitted}; repeated before they were: ${report.shardsRepeated - report.shardsRecommitted}; committed ones written again: ${report.shardsRecommitted}`,
    `rows lost: ${report.rowsLost}; doubled: ${report.rowsDoubled}; artefacts different: ${report.artefactsDifferent}`,
    `processes killed with a job: ${takeOvers.kills}; jobs taken over: ${takeOvers.count}, in ${seconds(takeOvers.medianMs)} (median), ${seconds(takeOvers.largestMs)} (longest); not measured, for Redis went too: ${takeOvers.unmeasured}; never: ${takeOvers.abandoned.length}`,
    `commands that gave up and were given again: ${table(report.commandsGivenUp)}`,
    `servers that ended unasked, or not with 0: ${table(report.oddEnds)}`,
    ...report.problems,
    isSound(report) ? "sound: the same as undisturbed" : "NOT SOUND",
  ].join("\n");
}

function count(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}
