import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { startCluster, startCoordinator, startWorker } from "../../index.js";
import type { WorkerQueue } from "../../index.js";
import { trommelOptions, type ClusterFlags, type GlobalFlags } from "../handle.js";
import type { Terminal } from "../terminal.js";

/** `trommel coordinator` */
export async function coordinator(
  terminal: Terminal,
  flags: GlobalFlags & { readonly outstandingShards: number },
): Promise<void> {
  const { store, redis, folder, log } = trommelOptions(terminal, flags);
  const { outstandingShards } = flags;
  const signal = terminal.interrupts();
  const server = await startCoordinator({ store, redis, folder, log, outstandingShards, signal });
  if (server === undefined) return;
  try {
    terminal.result({ redis: server.redis, store: server.store });
    terminal.say(`coordinator: redis ${server.redis}, store ${server.store}`);
    if (!signal.aborted) await once(signal, "abort");
  } finally {
    await server.close();
  }
}

type WorkerFlags = GlobalFlags &
  Omit<ClusterFlags, "workers"> & {
    readonly queues: WorkerQueue[];
    readonly drainSeconds: number;
    readonly embedded?: boolean;
  };

/** `trommel worker`; the worker takes over this process. */
export async function worker(terminal: Terminal, flags: WorkerFlags): Promise<void> {
  const { queues, drainSeconds, embedded } = flags;
  terminal.exitCode = await startWorker({
    ...trommelOptions(terminal, flags),
    queues,
    drainMs: drainSeconds * 1000,
    embedded,
  });
}

/** How often a local cluster looks whether its parts still run. */
const checkMs = 500;

/** `trommel up` */
export async function up(
  terminal: Terminal,
  flags: GlobalFlags & ClusterFlags & { readonly port: number },
): Promise<void> {
  const signal = terminal.interrupts();
  const cluster = await startCluster({ ...trommelOptions(terminal, flags), port: flags.port });
  try {
    const { workers, store, redisUrl } = cluster;
    terminal.say(`a local cluster of ${workers} worker${workers === 1 ? "" : "s"}; store ${store}`);
    terminal.say(`in another terminal: export TROMMEL_REDIS_URL=${redisUrl}`);
    terminal.result({ redis: redisUrl, store, workers });
    while (!signal.aborted) {
      cluster.check();
      await sleep(checkMs, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    await cluster.close();
  }
}
