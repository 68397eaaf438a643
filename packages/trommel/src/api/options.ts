import { resolve } from "node:path";
import { resolveLocation, TrommelError, type Device, type EngineName } from "@trommel/common";

/** Variables of an environment, by name. */
export type Variables = Readonly<Record<string, string | undefined>>;

/** Levels of a log, from the most to the least talkative; `silent` writes nothing. */
export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** The workers of an embedded cluster. With a `redis` given they are illegal: its cluster has workers of its own. */
export interface WorkerSettings {
  /** Worker processes. @default one a core, at most 4; one on a GPU */
  readonly workers?: number | undefined;
  /** Threads of the device's runtime in each worker. @default the cores, shared out */
  readonly threads?: number | undefined;
  /** The device that backbones run on. @default "cpu" */
  readonly device?: Device | undefined;
  /** What runs them. @default "onnx" */
  readonly engine?: EngineName | undefined;
  /** Shards in flight per worker. @default 2 */
  readonly concurrency?: number | undefined;
  /** Views that the device computes at once. @default 12, 24 on a GPU */
  readonly viewsPerBatch?: number | undefined;
  /** MiB of files that a worker has fetched and not decoded. @default 128 */
  readonly bytesInFlightMib?: number | undefined;
  /** MiB that a worker's decoding and decoded images take. @default 512 */
  readonly pixelsInFlightMib?: number | undefined;
}

/** How {@link openTrommel} opens a store and what works on it. */
export interface TrommelOptions extends WorkerSettings {
  /** A folder or `s3://bucket/prefix`. @default ".trommel" */
  readonly store?: string | undefined;
  /**
   * `redis://`, `rediss://` or `unix:` of a cluster with a coordinator and workers. Without it the handle brings an embedded
   * cluster with the first work that needs one: a redis-server, a coordinator in this process, and worker processes.
   */
  readonly redis?: string | undefined;
  /** Stops all work of the handle when it aborts; what is done is kept. */
  readonly signal?: AbortSignal | undefined;
  /** The folder that relative paths start from. @default the process's own */
  readonly folder?: string | undefined;
  /**
   * The environment that has recipes' variables, `TROMMEL_CACHE`, `XDG_CACHE_HOME` and `TROMMEL_REDIS_SERVER`. @default
   * `process.env`
   */
  readonly env?: Variables | undefined;
  /** Called with each remark for people, such as that a run was queued again because Redis had lost it. */
  readonly onNotice?: ((line: string) => void) | undefined;
  /** The log's stream: lines of JSON, readable ones on a terminal. @default no log */
  readonly log?:
    | { readonly to: NodeJS.WritableStream & { readonly isTTY?: boolean }; readonly level: LogLevel }
    | undefined;
  /** What worker processes write on stderr: dropped, left on this process's stderr, or given to a function. @default "drop" */
  readonly workerOutput?: "drop" | "inherit" | ((text: string) => void) | undefined;
}

/** Options with every default that does not depend on the machine. */
export interface ResolvedOptions extends WorkerSettings {
  readonly storeUrl: string;
  readonly redis: string | undefined;
  readonly folder: string;
  readonly env: Variables;
  readonly notice: (line: string) => void;
  readonly log: TrommelOptions["log"];
  readonly workerOutput: "drop" | "inherit" | ((text: string) => void);
}

/** @throws TrommelError `invalid-argument` for an illegal store */
export function resolveOptions(options: TrommelOptions): ResolvedOptions {
  const { store = ".trommel", redis, folder = process.cwd(), env = process.env } = options;
  const { onNotice = () => undefined, log, workerOutput = "drop" } = options;
  const {
    workers,
    threads,
    device,
    engine,
    concurrency,
    viewsPerBatch,
    bytesInFlightMib,
    pixelsInFlightMib,
  } = options;
  const settings = {
    ...{ workers, threads, device, engine, concurrency, viewsPerBatch, bytesInFlightMib, pixelsInFlightMib },
  };
  const storeUrl = resolveLocation(store, folder);
  return { ...settings, storeUrl, redis, folder, env, notice: onNotice, log, workerOutput };
}

/** The flag of each setting, as messages name it. */
const flagOf = {
  workers: "--workers",
  threads: "--threads",
  device: "--device",
  engine: "--engine",
  concurrency: "--concurrency",
  viewsPerBatch: "--batch",
  bytesInFlightMib: "--bytes-in-flight",
  pixelsInFlightMib: "--pixels-in-flight",
} as const satisfies Record<keyof WorkerSettings, string>;

/**
 * What belongs to workers of our own means nothing to those of a cluster that is there already.
 * @throws TrommelError `invalid-argument` naming the settings
 */
export function refuseWorkerSettings(settings: WorkerSettings): void {
  const given = Object.entries(flagOf).flatMap(([name, flag]) =>
    settings[name as keyof typeof flagOf] === undefined ? [] : [`${name} (${flag})`],
  );
  if (given.length === 0) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot use ${given.join(", ")}: with a Redis given, the workers are those of its cluster. Leave them out here and give them to 'trommel worker'`,
  );
}

/** A path from a folder; an absolute one, and any location with a scheme, as it is. */
export function pathFrom(folder: string, file: string): string {
  return /^[a-z0-9]+:/i.test(file) ? file : resolve(folder, file);
}
