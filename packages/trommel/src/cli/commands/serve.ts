import { setTimeout as sleep } from "node:timers/promises";
import { dashboardOptions, serve, type DashboardFlags } from "./dashboard.js";
import { startCluster, startCoordinator, startWorker } from "../../index.js";
import type { Server, WorkerQueue } from "../../index.js";
import { trommelOptions, type ClusterFlags, type GlobalFlags } from "../handle.js";
import type { Terminal } from "../terminal.js";

/** `trommel coordinator` */
export async function coordinator(
  terminal: Terminal,
  flags: GlobalFlags & { readonly outstandingShards: number; readonly metrics?: string },
): Promise<void> {
  const { store, redis, folder, log } = trommelOptions(terminal, flags);
  const { outstandingShards, metrics } = flags;
  const signal = terminal.interrupts();
  const server = await startCoordinator({ store, redis, folder, log, outstandingShards, metrics, signal });
  if (server === undefined) return;
  try {
    terminal.result({ redis: server.redis, store: server.store });
    terminal.say(`coordinator: redis ${server.redis}, store ${server.store}`);
    await checkUntil(signal, server);
  } finally {
    await server.close();
  }
}

type WorkerFlags = GlobalFlags &
  Omit<ClusterFlags, "workers"> & {
    readonly queues: WorkerQueue[];
    readonly drainSeconds: number;
    readonly embedded?: boolean;
    readonly metrics?: string;
  };

/** `trommel worker`; the worker takes over this process. */
export async function worker(terminal: Terminal, flags: WorkerFlags): Promise<void> {
  const { queues, drainSeconds, embedded, metrics } = flags;
  terminal.exitCode = await startWorker({
    ...trommelOptions(terminal, flags),
    queues,
    drainMs: drainSeconds * 1000,
    embedded,
    // The workers of a local cluster inherit the variable, and all but one would find the port taken.
    metrics: embedded === true ? undefined : metrics,
  });
}

/** How often a server is asked whether it can still serve. */
const checkMs = 500;

/** Waits for the signal. @throws TrommelError if the server cannot serve any more */
async function checkUntil(signal: AbortSignal, server: Server): Promise<void> {
  while (!signal.aborted) {
    server.check();
    await sleep(checkMs, undefined, { signal }).catch(() => undefined);
  }
}

/** `trommel up` */
export async function up(
  terminal: Terminal,
  flags: GlobalFlags & ClusterFlags & DashboardFlags & { readonly port: number; readonly dashboard?: true },
): Promise<void> {
  const asked = flags.dashboard === true ? await dashboardOptions(terminal, flags) : undefined;
  const signal = terminal.interrupts();
  const cluster = await startCluster({ ...trommelOptions(terminal, flags), port: flags.port });
  try {
    const { workers, store, redisUrl } = cluster;
    terminal.say(`a local cluster of ${workers} worker${workers === 1 ? "" : "s"}; store ${store}`);
    terminal.say(`in another terminal: export TROMMEL_REDIS_URL=${redisUrl}`);
    const served = asked && (await serve(terminal, { ...asked, redis: redisUrl, signal }));
    terminal.result({ redis: redisUrl, store, workers, ...(served && { dashboard: served.url }) });
    try {
      await checkUntil(signal, cluster);
    } finally {
      await served?.close();
    }
  } finally {
    await cluster.close();
  }
}
