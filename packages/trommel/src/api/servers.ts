import { availableParallelism } from "node:os";
import { TrommelError, workerDefaults, workerQueues, type WorkerQueue } from "@trommel/common";
import { awaitRedis, checkRedis, describeRedis } from "@trommel/common/redis";
import { startCoordinator as servePlans } from "@trommel/coordinator";
import { loadWorkerCommands } from "../worker-package.js";
import { Connections } from "./connections.js";
import { createLogger } from "./logger.js";
import { resolveOptions, type TrommelOptions } from "./options.js";

/** A part of a cluster that runs until it is closed. */
export interface Server extends AsyncDisposable {
  /** Its Redis, without a password. */
  readonly redis: string;
  /** Location of its store. */
  readonly store: string;
  /** @throws TrommelError if it cannot serve any more: every worker, or its Redis, has given up, or Redis refuses what it needs */
  check(): void;
  /** Hands back what is under way and releases everything. */
  close(): Promise<void>;
}

/** A whole cluster on this machine. */
export interface LocalServer extends Server {
  /** The URL that others reach its Redis by. */
  readonly redisUrl: string;
  /** How many worker processes it has. */
  readonly workers: number;
}

/** How {@link startCoordinator} serves. */
export interface CoordinatorOptions extends Pick<
  TrommelOptions,
  "store" | "redis" | "signal" | "folder" | "log"
> {
  /** Shards of one run that are queued and unfinished at most. */
  readonly outstandingShards?: number | undefined;
  /** `host:port` that metrics are served at, for Prometheus. @default none */
  readonly metrics?: string | undefined;
}

/** How {@link startWorker} serves. */
export interface WorkerServerOptions extends Omit<
  TrommelOptions,
  "workers" | "onNotice" | "workerOutput" | "env"
> {
  /** Queues to serve. @default all */
  readonly queues?: readonly WorkerQueue[] | undefined;
  /** How long shards under way may finish after SIGTERM, milliseconds. @default 100 seconds */
  readonly drainMs?: number | undefined;
  /** `host:port` that metrics are served at, for Prometheus. @default none */
  readonly metrics?: string | undefined;
  /** Part of a local cluster: its Redis is there already, and it ends with the process that started it. @default false */
  readonly embedded?: boolean | undefined;
}

/**
 * Serves the plan queue: prefixes to shards to jobs. Waits for its Redis as long as it takes.
 * @returns undefined where the signal aborts before it serves
 * @throws TrommelError `invalid-argument` without a Redis
 */
export async function startCoordinator(options: CoordinatorOptions): Promise<Server | undefined> {
  const redisUrl = requireRedis(options.redis, "coordinator");
  const connections = new Connections(resolveOptions(options));
  try {
    const { log, store } = connections;
    const signal = options.signal ?? new AbortController().signal;
    if (!(await awaitRedis(redisUrl, { signal, say: (line) => log.warn(line) }))) {
      await connections.close();
      return undefined;
    }
    const { outstandingShards, metrics } = options;
    const running = await servePlans({
      redisUrl,
      store,
      log,
      metrics,
      ...(outstandingShards === undefined ? {} : { outstandingShards }),
    });
    connections.releases.add("coordinator", () => running.stop());
    return serverOf(connections, redisUrl, () => running.check());
  } catch (thrown) {
    await connections.close();
    throw thrown;
  }
}

/**
 * Serves the work queues as a process of its own: it listens to SIGTERM and SIGINT, and writes on stderr what it does.
 * @returns the exit code that the process should end with
 * @throws TrommelError `invalid-argument` without a Redis, `device-unavailable`
 */
export async function startWorker(options: WorkerServerOptions): Promise<number> {
  const told = new AbortController();
  const early = (): void => told.abort();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, early);
  const { embedded = false, threads = availableParallelism(), device = "cpu", engine = "onnx" } = options;
  const { viewsPerBatch, drainMs = workerDefaults.drainMs, queues = workerQueues } = options;
  const { storeUrl } = resolveOptions(options);
  const log = createLogger(options.log);
  const redisUrl = requireRedis(options.redis, "worker");
  // The Redis of a local cluster is up before its workers start.
  if (embedded) await checkRedis(redisUrl);
  else if (!(await awaitRedis(redisUrl, { signal: told.signal, say: (line) => log.warn(line) }))) return 0;
  const worker = await loadWorkerCommands();
  // It holds nothing yet. From its first line on the worker listens to the signals itself.
  if (told.signal.aborted) return 0;
  return worker.runWorker({
    redisUrl,
    storeUrl,
    concurrency: options.concurrency ?? workerDefaults.concurrency,
    threads,
    ...(viewsPerBatch === undefined ? {} : { viewsPerBatch }),
    bytesInFlightMib: options.bytesInFlightMib ?? workerDefaults.bytesInFlightMib,
    pixelsInFlightMib: options.pixelsInFlightMib ?? workerDefaults.pixelsInFlightMib,
    device,
    engine,
    queues: [...queues],
    drainMs,
    embedded,
    logLevel: options.log?.level ?? "warn",
    ...(options.metrics === undefined ? {} : { metrics: options.metrics }),
  });
}

/**
 * Starts a local cluster: Redis on a loopback port, a coordinator in this process, and worker processes.
 * @param options.port loopback port of its Redis
 * @throws TrommelError `invalid-argument` where a Redis is given, `not-found` without a redis-server, `conflict` where the
 *   port is taken
 */
export async function startCluster(
  options: TrommelOptions & { readonly port: number },
): Promise<LocalServer> {
  if (options.redis !== undefined) {
    throw new TrommelError(
      "invalid-argument",
      "cannot start a local cluster: it brings its own Redis, and one is given. Leave out --redis and TROMMEL_REDIS_URL, or start 'trommel coordinator' and 'trommel worker' on that Redis",
    );
  }
  const connections = new Connections(resolveOptions(options));
  try {
    const cluster = await connections.startCluster(options.port);
    const { redisUrl } = cluster;
    const { workers } = cluster;
    return { ...serverOf(connections, redisUrl, () => cluster.check()), redisUrl, workers };
  } catch (thrown) {
    await connections.close();
    throw thrown;
  }
}

function serverOf(connections: Connections, redisUrl: string, check: () => void): Server {
  const close = (): Promise<void> => connections.close();
  return {
    redis: describeRedis(redisUrl),
    store: connections.store.url,
    check,
    close,
    [Symbol.asyncDispose]: close,
  };
}

function requireRedis(redis: string | undefined, part: string): string {
  if (redis !== undefined) return redis;
  throw new TrommelError(
    "invalid-argument",
    `cannot start a ${part}: it needs the Redis that its cluster shares. Give --redis or TROMMEL_REDIS_URL; 'trommel up' starts a whole cluster on this machine`,
  );
}
