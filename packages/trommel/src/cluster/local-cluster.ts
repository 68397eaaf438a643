import { ReleaseStack, type ObjectStore } from "@trommel/common";
import { checkRedis } from "@trommel/common/redis";
import type { Logger } from "pino";
import { startCoordinator } from "@trommel/coordinator";
import { startEmbeddedRedis } from "./embedded-redis.js";
import { WorkerProcesses, type WorkerOutput } from "./worker-processes.js";

export interface LocalCluster {
  readonly redisUrl: string;
  readonly redisPid: number | undefined;
  readonly workerPids: number[];
  /** How many workers it keeps running. */
  readonly workers: number;
  /** @throws TrommelError where every worker has given up, or Redis refuses what the cluster needs */
  check(): void;
  stop(): Promise<void>;
}

/**
 * A cluster on this machine until it is stopped: Redis (unless one is given), a coordinator in this
 * process, and worker processes. The same code paths as a real one.
 */
export async function startLocalCluster(options: {
  readonly store: ObjectStore;
  readonly workers: number;
  readonly workerFlags: readonly string[];
  readonly redisPort?: number;
  /** What starts Redis. @default as {@link startEmbeddedRedis} says */
  readonly redisServer?: string | undefined;
  /** Called with each remark for people. */
  readonly notice: (line: string) => void;
  /** What becomes of what the workers write. */
  readonly workerOutput: WorkerOutput;
  readonly log: Logger;
}): Promise<LocalCluster> {
  const { store, log } = options;
  const releases = new ReleaseStack();
  const stop = async (): Promise<void> => {
    for (const failure of await releases.releaseAll()) log.warn({ failure }, "failed to release");
  };
  try {
    const { redisPort, redisServer, notice } = options;
    const redis = await startEmbeddedRedis({
      notice,
      ...(redisPort === undefined ? {} : { port: redisPort }),
      ...(redisServer === undefined ? {} : { binary: redisServer }),
    });
    releases.add("redis-server", () => redis.stop());
    await checkRedis(redis.url);
    const coordinator = await startCoordinator({ redisUrl: redis.url, store, log });
    releases.add("coordinator", () => coordinator.stop());
    const workers = new WorkerProcesses({
      count: options.workers,
      redisUrl: redis.url,
      storeUrl: store.url,
      flags: options.workerFlags,
      output: options.workerOutput,
      log,
    });
    releases.add("workers", () => workers.stop());
    await workers.ready();
    return {
      redisUrl: redis.url,
      redisPid: redis.pid,
      workers: options.workers,
      get workerPids() {
        return workers.pids;
      },
      check: () => {
        redis.check();
        coordinator.check();
        workers.check();
      },
      stop,
    };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}
