import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import {
  openStore,
  queuePrefix,
  ReleaseStack,
  LiveRun,
  stopReasonToThrow,
  runKeys,
  scoringKeys,
  type ObjectStore,
} from "@trommel/common";
import { startEmbeddedRedis } from "#trommel/cluster/embedded-redis";
import { JobProducer } from "#coordinator/run-control/queueing/job-producer";
import type { Redis } from "ioredis";
import { BenchChild } from "../synthetic/child.js";
import { comparisonRow } from "../compare/comparison-row.js";
import { peakResidentMiB } from "../measure/process-usage.js";
import { redisMemoryMb } from "../measure/redis-usage.js";
import type { BenchResult, BenchSetting } from "../result.js";
import type { SyntheticCoordinatorOptions } from "../synthetic/synthetic-coordinator.js";
import { startSyntheticRun, startSyntheticScoring } from "../synthetic/synthetic-subject.js";
import type { TrivialConsumerOptions } from "../synthetic/trivial-consumer.js";

const keys = 10_000_000;
const classes = 1000;
const lookMs = 20;
const sampleMs = 500;

const subjects = ["training", "scoring"] as const;
type Subject = (typeof subjects)[number];

interface Listing {
  /** From the command to the first job that a worker may take. */
  readonly firstJobSeconds: number;
  /** To `listing.json`, with the split where there is one. */
  readonly listedSeconds: number;
  /** To the last job. */
  readonly queuedSeconds: number;
  readonly coordinatorMb: number;
  readonly redisUsedMb: number;
  readonly redisResidentMb: number;
}

/**
 * Planning ten million generated keys: a coordinator in a process of its own, a real redis-server, a store on the disk that the
 * shard files are written to, and a consumer that does nothing with the jobs, so that the most that may be outstanding is reached and turned
 * over. Once for a training, which chooses a split, and once for a scoring.
 */
export async function benchListing(
  _: undefined,
  _store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const measured: Partial<Record<Subject, Listing>> = {};
  const rows = [];
  for (const subject of subjects) {
    const listing = await measureListing(subject, setting);
    setting.say(`listing: ${subject}: ${JSON.stringify(listing)}`);
    measured[subject] = listing;
    rows.push(...rowsOf(subject, listing));
  }
  return { measured: { keys, classes, ...measured }, rows };
}

function rowsOf(subject: Subject, listing: Listing) {
  const row = (what: string, value: number, digits: number, atMost?: number) =>
    comparisonRow({
      what: `listing: ${subject} on ${keys} keys: ${what}`,
      own: [value],
      digits,
      ...(atMost === undefined ? {} : { atMost }),
    });
  return [
    row("first job queued after, s", listing.firstJobSeconds, 2, 2),
    row("peak of the coordinator's resident memory, MB", listing.coordinatorMb, 0, 250),
    row("peak of Redis's resident memory, MB", listing.redisResidentMb, 0, 200),
    row("peak of Redis's data, MB", listing.redisUsedMb, 0),
    row("keys listed per second", keys / listing.listedSeconds, 0),
    row("last job queued after, s", listing.queuedSeconds, 1),
  ];
}

async function measureListing(subject: Subject, setting: BenchSetting): Promise<Listing> {
  const folder = path.join(setting.folder, subject);
  const location = path.join(folder, "store");
  await mkdir(location, { recursive: true });
  const releases = new ReleaseStack();
  try {
    const redis = await startEmbeddedRedis();
    releases.add("redis", () => redis.stop());
    const coordinator = child<SyntheticCoordinatorOptions>("synthetic-coordinator", {
      ...{ redisUrl: redis.url, store: location, keys, classes },
    });
    const consumer = child<TrivialConsumerOptions>("trivial-consumer", { redisUrl: redis.url });
    await Promise.all([coordinator.message(), consumer.message()]);
    const producer = new JobProducer(redis.url);
    releases.add("producer", () => producer.close());
    const store = openStore(location);
    const startMs = Date.now();
    const output = pathToFileURL(path.join(folder, "scores")).href;
    const attempt =
      subject === "training"
        ? await startSyntheticRun(store, producer, subject)
        : await startSyntheticScoring(store, producer, subject, output);
    const firstJobMs = await firstJobAt(producer.redis, subject);
    const liveRun = new LiveRun(producer.redis, subject);
    const rest = await follow({ subject, store, redis: producer.redis, liveRun, attempt, startMs });
    return {
      firstJobSeconds: (firstJobMs - startMs) / 1000,
      ...rest,
      coordinatorMb: ((await peakResidentMiB(coordinator.pid)) * 2 ** 20) / 1e6,
    };
  } finally {
    await releases.releaseAll();
    await rm(folder, { recursive: true, force: true });
  }

  function child<Options>(module: string, options: Options): BenchChild {
    const started = new BenchChild(module, options);
    releases.add(module, () => started.stop());
    return started;
  }
}

/** By the queue's own event stream, whose ids are this machine's clock in milliseconds. */
async function firstJobAt(redis: Redis, subject: Subject): Promise<number> {
  const stream = `${queuePrefix}:${subject === "training" ? "extract" : "score"}:events`;
  for (;;) {
    const [first] = await redis.xrange(stream, "-", "+", "COUNT", 1);
    if (first !== undefined) return Number(first[0].split("-")[0]);
    await sleep(lookMs);
  }
}

/** Samples what Redis takes until the plan is done. */
async function follow(followed: {
  readonly subject: Subject;
  readonly store: ObjectStore;
  readonly redis: Redis;
  readonly liveRun: LiveRun;
  readonly attempt: number;
  readonly startMs: number;
}): Promise<Omit<Listing, "firstJobSeconds" | "coordinatorMb">> {
  const { subject, store, redis, liveRun, attempt, startMs } = followed;
  const isTraining = subject === "training";
  const listingKey = (isTraining ? runKeys(subject) : scoringKeys(subject)).listing;
  const seconds = (): number => (Date.now() - startMs) / 1000;
  let [redisUsedMb, redisResidentMb] = [0, 0];
  let listedSeconds: number | undefined;
  for (;;) {
    const { used, resident } = await redisMemoryMb(redis);
    redisUsedMb = Math.max(redisUsedMb, used);
    redisResidentMb = Math.max(redisResidentMb, resident);
    const error = (await liveRun.state())?.error;
    if (error !== undefined) throw stopReasonToThrow(error);
    if ((await store.head(listingKey)) !== undefined) listedSeconds ??= seconds();
    const { done } = await liveRun.progress(attempt, isTraining ? "plan-run" : "plan-scoring");
    if (listedSeconds !== undefined && done === 1) {
      return { listedSeconds, queuedSeconds: seconds(), redisUsedMb, redisResidentMb };
    }
    await sleep(sampleMs);
  }
}
