import { SeededRandom } from "@trommel/common";

/**
 * What is done to a cluster, and when: drawn from the seed alone, before anything has happened. Which requests and which
 * job a fault meets is the machine's affair.
 */

/** How the proxy treats one request of those that it does not pass on as they are. */
export const requestFaults = [
  /** Passed on later. */
  "delay",
  /** 500, and the server never hears of it. */
  "refuse-500",
  /** 503 SlowDown, and the server never hears of it. */
  "refuse-503",
  /** The connection is reset before the server hears of it. */
  "reset-before",
  /** The server does it, and the connection is reset before the answer. */
  "reset-after",
  /** The server does it, and answers 500. */
  "forget-answer",
  /** Of a read object: the answer breaks off in the middle of the body. */
  "cut",
  /** Of a read object: one bit of the body is another. */
  "flip",
  /** Nothing at all for seconds, then a reset. */
  "stall",
] as const;
export type RequestFault = (typeof requestFaults)[number];

export type Fault =
  | { readonly kind: "kill-worker"; readonly worker: number }
  | { readonly kind: "stop-worker"; readonly worker: number }
  | { readonly kind: "pause-worker"; readonly worker: number; readonly forMs: number }
  | { readonly kind: "kill-coordinator"; readonly coordinator: number }
  | { readonly kind: "pause-coordinator"; readonly coordinator: number; readonly forMs: number }
  | { readonly kind: "kill-command" }
  /** The same command a second time, while the first is under way. */
  | { readonly kind: "repeat-command" }
  /** `trommel cancel`; the next command resumes the run while shards of the cancelled attempt are still under way. */
  | { readonly kind: "cancel-run" }
  | { readonly kind: "kill-redis"; readonly awayMs: number }
  | { readonly kind: "lose-redis"; readonly awayMs: number }
  | { readonly kind: "flush-redis" }
  | {
      readonly kind: "bad-network";
      readonly forMs: number;
      /** Of all requests meanwhile. */
      readonly share: number;
      readonly seed: number;
    };
export type FaultKind = Fault["kind"];

export interface ScheduledFault {
  /** After the one before it. */
  readonly afterMs: number;
  readonly fault: Fault;
}

const gapMs = { least: 700, most: 3500 };
/** Longer than a job's lock and the look for stalled jobs that follows it. */
const pauseMs = { least: 9000, most: 13_000 };

/** How often each kind comes in a deck of them. */
const weights: Readonly<Record<FaultKind, number>> = {
  "kill-worker": 6,
  "stop-worker": 2,
  "pause-worker": 2,
  "kill-coordinator": 3,
  "pause-coordinator": 1,
  "kill-command": 2,
  "repeat-command": 1,
  "cancel-run": 1,
  "kill-redis": 1,
  "lose-redis": 1,
  "flush-redis": 1,
  "bad-network": 5,
};
export const faultKinds = Object.keys(weights) as FaultKind[];

/** Faults without end; the same seed gives the same ones. */
export function* scheduleFaults(
  seed: number,
  parts: { readonly workers: number; readonly coordinators: number },
): Generator<ScheduledFault, never> {
  const random = new SeededRandom(seed);
  for (;;) {
    for (const kind of shuffleDeck(random)) {
      const afterMs = Math.round(random.uniform(gapMs.least, gapMs.most));
      yield { afterMs, fault: drawFault(kind, random, parts) };
    }
  }
}

/**
 * Each kind as often as it weighs, and once among the first so many as there are kinds: drawn independently, a kind of weight
 * one may not come in minutes.
 */
function shuffleDeck(random: SeededRandom): FaultKind[] {
  const others = faultKinds.flatMap((kind) => Array<FaultKind>(weights[kind] - 1).fill(kind));
  return [...random.shuffle([...faultKinds]), ...random.shuffle(others)];
}

function drawFault(
  kind: FaultKind,
  random: SeededRandom,
  { workers, coordinators }: { readonly workers: number; readonly coordinators: number },
): Fault {
  const pause = (): number => Math.round(random.uniform(pauseMs.least, pauseMs.most));
  switch (kind) {
    case "kill-worker":
    case "stop-worker":
      return { kind, worker: random.integer(workers) };
    case "pause-worker":
      return { kind, worker: random.integer(workers), forMs: pause() };
    case "kill-coordinator":
      return { kind, coordinator: random.integer(coordinators) };
    case "pause-coordinator":
      return { kind, coordinator: random.integer(coordinators), forMs: pause() };
    case "kill-redis":
    case "lose-redis":
      return { kind, awayMs: Math.round(random.uniform(100, 3000)) };
    case "kill-command":
    case "repeat-command":
    case "cancel-run":
    case "flush-redis":
      return { kind };
    case "bad-network":
      return {
        kind,
        forMs: Math.round(random.uniform(1500, 6000)),
        share: random.uniform(0.05, 0.3),
        seed: random.bits(),
      };
  }
}
