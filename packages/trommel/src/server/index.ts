import { setMaxListeners } from "node:events";
import type { AddressInfo } from "node:net";
import { TrommelError } from "@trommel/common";
import { ClusterMetrics, serveMetrics, type MetricsServer } from "@trommel/common/metrics";
import { awaitRedis, describeRedis } from "@trommel/common/redis";
import { lookAtCluster } from "@trommel/coordinator/run-control";
import { Trommel } from "../trommel.js";
import { version } from "../version.js";
import { Access } from "./access/access.js";
import { Caches } from "./answers/caches.js";
import { checkToken, parseListen, type DashboardOptions } from "./options.js";
import { Poller } from "./overview/poller.js";
import { readPage } from "./page.js";
import { Roots } from "./roots.js";
import type { ServerContext } from "./route.js";
import { buildServer } from "./server.js";

/** A dashboard that serves until it is closed. */
export interface DashboardServer extends AsyncDisposable {
  /** Its address. */
  readonly url: string;
  /** Location of its store. */
  readonly store: string;
  /** Its Redis, without a password; undefined without one. */
  readonly redis: string | undefined;
  /** What requests may name places in. */
  readonly roots: readonly string[];
  /** Whether it takes actions: it has a token. */
  readonly acts: boolean;
  /** Address of its metrics; undefined if it serves none. */
  readonly metrics: string | undefined;
  /** Ends every stream and releases everything; work that is under way stays with its cluster. */
  close(): Promise<void>;
}

/** The variables that the handle itself reads. A recipe of a request could name any other. */
const keptVariables = ["TROMMEL_CACHE", "XDG_CACHE_HOME", "TROMMEL_REDIS_SERVER", "HOME"];

/**
 * Serves the HTTP API and the dashboard's page.
 * @returns undefined where the signal aborts before its Redis answers
 * @throws TrommelError `invalid-argument` for the address, the token, the roots or the metrics; `conflict` where the port is taken
 */
export async function startDashboard(options: DashboardOptions): Promise<DashboardServer | undefined> {
  const address = parseListen(options.listen);
  checkToken(address, options);
  const { env = process.env, redis } = options;
  const kept = Object.fromEntries(keptVariables.map((name) => [name, env[name]]));
  const trommel = new Trommel({ ...options, env: kept });
  const closing = new AbortController();
  // Everybody who watches listens to it.
  setMaxListeners(0, closing.signal);
  const { connections } = trommel;
  const poller = new Poller(trommel, () => connections.producer());
  const caches = new Caches();
  const metrics = new ClusterMetrics();
  metrics.build.set({ version, kind: "dashboard" }, 1);
  const look = async (): Promise<void> => {
    metrics.watchers.set(poller.watchers);
    const producer = await connections.producer();
    if (producer !== undefined) await lookAtCluster(producer, metrics);
  };
  let scraped: MetricsServer | undefined;
  const close = async (): Promise<void> => {
    closing.abort("closed");
    await scraped?.stop();
    poller.close();
    caches.close();
    await trommel.close();
  };
  try {
    const roots = new Roots(options.roots ?? [trommel.store.url], connections.options.folder);
    const signal = options.signal ?? closing.signal;
    const say = (line: string): void => connections.log.warn(line);
    if (redis !== undefined && !(await awaitRedis(redis, { signal, say }))) {
      await close();
      return undefined;
    }
    const context: ServerContext = {
      ...{ trommel, poller, roots, caches, signal: closing.signal },
      access: new Access(options.token),
      detach: redis !== undefined,
    };
    const { isLoopback } = address;
    const { log } = connections;
    const server = await buildServer(context, { isLoopback, log, metrics, page: await readPage() });
    if (options.metrics !== undefined) scraped = await serveMetrics(options.metrics, metrics, look);
    await server.listen({ host: address.host, port: address.port }).catch((cause: unknown) => {
      throw cannotListen(address, cause);
    });
    const { port } = server.server.address() as AddressInfo;
    const stop = async (): Promise<void> => {
      closing.abort("closed");
      await server.close();
      await close();
    };
    return {
      url: `http://${address.host.includes(":") ? `[${address.host}]` : address.host}:${port}`,
      store: trommel.store.url,
      redis: redis === undefined ? undefined : describeRedis(redis),
      roots: roots.locations,
      acts: options.token !== undefined,
      metrics: scraped?.url,
      close: stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

function cannotListen({ host, port }: { host: string; port: number }, cause: unknown): TrommelError {
  const { code } = cause as NodeJS.ErrnoException;
  const why = code === "EADDRINUSE" ? "another program listens there" : String(code);
  return new TrommelError(
    code === "EADDRINUSE" ? "conflict" : "invalid-argument",
    `cannot listen on ${host}:${port}: ${why}. Give another --listen`,
    { cause },
  );
}
