import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import {
  openStore,
  ReleaseStack,
  resolveLocation,
  TrommelError,
  type Device,
  type EngineName,
  type ObjectStore,
} from "@trommel/common";
import { checkRedis } from "@trommel/common/jobs/redis-connection";
import { printableArguments } from "@trommel/common/printable";
import { pino, type LogFn, type Logger, type LoggerOptions } from "pino";
import { prettyFactory } from "pino-pretty";
import { startLocalCluster, type LocalCluster } from "../cluster/local-cluster.js";
import { JobProducer } from "@trommel/coordinator/run-control/job-producer";
import { findCluster } from "@trommel/coordinator/run-control/cluster-note";
import type { Subject } from "@trommel/coordinator/run-control/run-state";
import type { Output, Terminal } from "./terminal.js";

/** Flags that every command takes. */
export interface GlobalFlags {
  readonly store: string;
  readonly redis?: string;
  readonly json?: boolean;
  readonly logLevel: string;
}

/** Flags of commands that may start workers of their own. */
export interface ClusterFlags {
  readonly workers?: number;
  readonly threads?: number;
  readonly device?: Device;
  readonly engine?: EngineName;
  readonly concurrency?: number;
  /** Views on the device at once. */
  readonly batch?: number;
  /** MiB. */
  readonly bytesInFlight?: number;
  /** MiB. */
  readonly pixelsInFlight?: number;
  readonly logLevel: string;
}

/** What one command holds: its store, its output, and whatever it must give back. */
export class Session {
  readonly terminal: Terminal;
  readonly store: ObjectStore;
  readonly log: Logger;
  readonly json: boolean;
  readonly redisUrl: string | undefined;
  readonly releases = new ReleaseStack();

  constructor(terminal: Terminal, flags: GlobalFlags) {
    this.terminal = terminal;
    this.json = terminal.json;
    this.log = createLogger(flags.logLevel, terminal.io.stderr);
    this.redisUrl = flags.redis;
    this.store = openStore(this.locate(flags.store), {
      onNotice: (notice) => this.log.warn(notice),
    });
    this.releases.add("store", () => this.store.close());
  }

  /** The absolute location of what a flag names: a relative path starts from the command's folder. */
  locate(location: string): string {
    return resolveLocation(location, this.terminal.io.cwd);
  }

  /** The absolute path of a file that a flag names. */
  path(file: string): string {
    return resolve(this.terminal.io.cwd, file);
  }

  say(line: string): void {
    this.terminal.say(line);
  }

  result(value: unknown): void {
    this.terminal.result(value);
  }

  /** A producer on the configured Redis, or undefined where none is configured. */
  async producer(): Promise<JobProducer | undefined> {
    if (this.redisUrl === undefined) return undefined;
    await checkRedis(this.redisUrl);
    return this.#producerOn(this.redisUrl);
  }

  /** A producer where a run is worked on: the configured Redis, else another command's embedded cluster. */
  async producerOf(subject: Subject): Promise<JobProducer | undefined> {
    const configured = await this.producer();
    if (configured !== undefined) return configured;
    const found = await findCluster(this.store, subject);
    return found === undefined ? undefined : this.#producerOn(found);
  }

  /** A producer on the configured Redis, or on an embedded cluster of this command's own. */
  async producerOrCluster(flags: ClusterFlags): Promise<{ producer: JobProducer; cluster?: LocalCluster }> {
    const configured = await this.producer();
    if (configured !== undefined) {
      refuseWorkerFlags(flags);
      return { producer: configured };
    }
    const { workers, workerFlags } = localWorkers(flags);
    const cluster = await startLocalCluster({ store: this.store, workers, workerFlags, log: this.log });
    this.releases.add("cluster", () => cluster.stop());
    return { producer: this.#producerOn(cluster.redisUrl), cluster };
  }

  async close(): Promise<void> {
    for (const failure of await this.releases.releaseAll()) this.log.warn({ failure }, "failed to release");
  }

  #producerOn(redisUrl: string): JobProducer {
    const producer = new JobProducer(redisUrl);
    this.releases.add("producer", () => producer.close());
    return producer;
  }
}

/** What belongs to workers of our own means nothing to those of a cluster that is there. */
function refuseWorkerFlags(flags: ClusterFlags): void {
  const names = {
    workers: "--workers",
    threads: "--threads",
    device: "--device",
    engine: "--engine",
    concurrency: "--concurrency",
    batch: "--batch",
    bytesInFlight: "--bytes-in-flight",
    pixelsInFlight: "--pixels-in-flight",
  } as const;
  const given = Object.entries(names).flatMap(([name, flag]) =>
    flags[name as keyof typeof names] === undefined ? [] : [flag],
  );
  if (given.length === 0) return;
  throw new TrommelError(
    "invalid-argument",
    `failed to use ${given.join(", ")}: with a Redis given, the workers are those of its cluster. Leave them out here and give them to 'trommel worker'`,
  );
}

/** More workers than this on one machine cost memory, and threads within them serve as well. */
const defaultWorkersAtMost = 4;

/**
 * Without `--workers` there is one for each core up to four, for a worker with one thread wastes least; a GPU gets one.
 * Without `--threads` the cores are shared out among them.
 */
export function localWorkers(flags: ClusterFlags): { workers: number; workerFlags: string[] } {
  const byDefault =
    (flags.device ?? "cpu") === "cpu" ? Math.min(availableParallelism(), defaultWorkersAtMost) : 1;
  const workers = flags.workers ?? byDefault;
  const threads = flags.threads ?? Math.max(1, Math.floor(availableParallelism() / workers));
  const workerFlags = [
    ...["--threads", String(threads), "--device", flags.device ?? "cpu", "--engine", flags.engine ?? "onnx"],
    ...["--concurrency", String(flags.concurrency ?? 2), "--log-level", flags.logLevel],
    ...(flags.batch === undefined ? [] : ["--batch", String(flags.batch)]),
    ...(flags.bytesInFlight === undefined ? [] : ["--bytes-in-flight", String(flags.bytesInFlight)]),
    ...(flags.pixelsInFlight === undefined ? [] : ["--pixels-in-flight", String(flags.pixelsInFlight)]),
  ];
  return { workers, workerFlags };
}

function createLogger(level: string, stderr: Output): Logger {
  const options: LoggerOptions = { level, base: null, hooks: { logMethod: logPrintable } };
  if (stderr.isTTY !== true) return pino(options, stderr);
  const readable = prettyFactory({ ignore: "pid,hostname,time", colorize: true });
  return pino(options, { write: (line: string) => void stderr.write(readable(line)) });
}

/** Notices name files. */
function logPrintable(this: Logger, args: Parameters<LogFn>, method: LogFn): void {
  method.apply(this, printableArguments(args) as Parameters<LogFn>);
}
