import { once } from "node:events";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import {
  inFlightDefaults,
  TrommelError,
  type Device,
  type EngineName,
  type WorkerQueue,
} from "@trommel/common";
import { checkRedis, describeRedis } from "@trommel/common/jobs/redis-connection";
import { startLocalCluster } from "../../cluster/local-cluster.js";
import { startCoordinator } from "@trommel/coordinator/coordinator";
import { awaitRedis } from "@trommel/common/jobs/await-redis";
import { loadWorkerCommands } from "../../worker-package.js";
import { localWorkers, Session, type ClusterFlags, type GlobalFlags } from "../session.js";
import type { Terminal } from "../terminal.js";

/** `trommel coordinator` */
export async function coordinator(
  terminal: Terminal,
  flags: GlobalFlags & { readonly outstandingShards: number },
): Promise<void> {
  const session = new Session(terminal, flags);
  try {
    const redisUrl = requireRedis(flags, "coordinator");
    const interrupt = session.terminal.interrupts();
    const say = (line: string): void => session.log.warn(line);
    if (!(await awaitRedis(redisUrl, { signal: interrupt, say }))) return;
    const running = await startCoordinator({
      redisUrl,
      store: session.store,
      log: session.log,
      outstandingShards: flags.outstandingShards,
    });
    session.releases.add("coordinator", () => running.stop());
    session.result({ redis: describeRedis(redisUrl), store: session.store.url });
    session.say(`coordinator: redis ${describeRedis(redisUrl)}, store ${session.store.url}`);
    await once(interrupt, "abort");
  } finally {
    await session.close();
  }
}

type WorkerFlags = GlobalFlags & {
  readonly concurrency: number;
  readonly threads?: number;
  readonly batch?: number;
  readonly bytesInFlight?: number;
  readonly pixelsInFlight?: number;
  readonly device?: Device;
  readonly engine?: EngineName;
  readonly queues: WorkerQueue[];
  readonly drainSeconds: number;
  readonly embedded?: boolean;
};

/** `trommel worker`; the worker package takes over this process. */
export async function worker(terminal: Terminal, flags: WorkerFlags): Promise<void> {
  const told = new AbortController();
  const early = (): void => told.abort();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, early);
  const session = new Session(terminal, flags);
  const { log } = session;
  const storeUrl = session.store.url;
  await session.close();
  const redisUrl = requireRedis(flags, "worker");
  // The Redis of a local cluster stands before its workers start.
  if (flags.embedded === true) await checkRedis(redisUrl);
  else if (!(await awaitRedis(redisUrl, { signal: told.signal, say: (line) => log.warn(line) }))) return;
  const commands = await loadWorkerCommands();
  // It holds nothing yet. From its first line on the worker listens to the signals itself.
  if (told.signal.aborted) return;
  terminal.exitCode = await commands.runWorker({
    redisUrl,
    storeUrl,
    concurrency: flags.concurrency,
    threads: flags.threads ?? availableParallelism(),
    ...(flags.batch === undefined ? {} : { viewsPerBatch: flags.batch }),
    bytesInFlightMib: flags.bytesInFlight ?? inFlightDefaults.bytesInFlightMib,
    pixelsInFlightMib: flags.pixelsInFlight ?? inFlightDefaults.pixelsInFlightMib,
    device: flags.device ?? "cpu",
    engine: flags.engine ?? "onnx",
    queues: flags.queues,
    drainMs: flags.drainSeconds * 1000,
    embedded: flags.embedded ?? false,
    logLevel: flags.logLevel,
  });
}

function requireRedis(flags: GlobalFlags, command: string): string {
  if (flags.redis !== undefined) return flags.redis;
  throw new TrommelError(
    "invalid-argument",
    `failed to start a ${command}: it needs the Redis that its cluster shares. Give --redis or TROMMEL_REDIS_URL; 'trommel up' starts a whole cluster on this machine`,
  );
}

/** How often a local cluster looks whether its parts still stand. */
const checkMs = 500;

/** `trommel up` */
export async function up(
  terminal: Terminal,
  flags: GlobalFlags & ClusterFlags & { readonly port: number },
): Promise<void> {
  if (flags.redis !== undefined) {
    throw new TrommelError(
      "invalid-argument",
      "failed to start a local cluster: it brings its own Redis, and one is given. Leave out --redis and TROMMEL_REDIS_URL, or start 'trommel coordinator' and 'trommel worker' on that Redis",
    );
  }
  const session = new Session(terminal, flags);
  try {
    const interrupt = session.terminal.interrupts();
    const { workers, workerFlags } = localWorkers(flags);
    const cluster = await startLocalCluster({
      store: session.store,
      workers,
      workerFlags,
      redisPort: flags.port,
      log: session.log,
    });
    session.releases.add("cluster", () => cluster.stop());
    session.say(
      `a local cluster of ${workers} worker${workers === 1 ? "" : "s"}; store ${session.store.url}`,
    );
    session.say(`in another terminal: export TROMMEL_REDIS_URL=${cluster.redisUrl}`);
    session.result({ redis: cluster.redisUrl, store: session.store.url, workers });
    while (!interrupt.aborted) {
      cluster.check();
      await sleep(checkMs, undefined, { signal: interrupt }).catch(() => undefined);
    }
  } finally {
    await session.close();
  }
}
