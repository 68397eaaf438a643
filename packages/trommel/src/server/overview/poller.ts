import { isRedisRefusal, TrommelError, toTrommelError } from "@trommel/common";
import { withTimeout } from "@trommel/common/waiting";
import type { JobProducer } from "@trommel/coordinator/run-control";
import type { Trommel } from "../../trommel.js";
import type { Brief } from "./brief.js";
import { readMembers, readQueues, type Cluster } from "./cluster.js";
import { Throughput, type Sample } from "./throughput.js";
import { Works } from "./works.js";

/** How often the cluster is looked at while anybody watches. */
const pollMs = 1000;
/** A list that somebody asks for is at most this old. */
const freshMs = 2000;
const redisPatienceMs = 3000;
const lookPatienceMs = 30_000;
/** How many runs a snapshot has: those that are worked on, then the latest ones. */
const snapshotAtMost = 500;

/** What cannot be asked at this moment. */
export interface Fault {
  readonly of: "redis" | "store";
  readonly message: string;
}

export interface Snapshot {
  readonly runs: readonly Brief[];
  /** Runs that the store has and the list leaves out. */
  readonly left: number;
  readonly cluster: Cluster;
  readonly throughput: readonly Sample[];
  readonly fault: Fault | null;
}

/** An event of the stream, by its name. */
export type PolledEvent =
  | { readonly event: "run"; readonly data: Brief }
  | { readonly event: "removed"; readonly data: { readonly id: string } }
  | { readonly event: "cluster"; readonly data: Cluster & { readonly sample: Sample } }
  | { readonly event: "fault"; readonly data: Fault }
  | { readonly event: "recovered"; readonly data: { readonly of: Fault["of"] } };

/**
 * Looks at the cluster for everybody: while at least one watches, once a second, and otherwise when a list is asked for. A look that
 * is under way is shared, so that what Redis and the store are asked does not grow with those who ask.
 */
export class Poller {
  readonly #works: Works;
  readonly #producer: () => Promise<JobProducer | undefined>;
  readonly #watchers = new Set<(event: PolledEvent) => void>();
  readonly #throughput = new Throughput();
  #cluster: Cluster = { redis: "none", queues: [], members: [], imagesPerSecond: null };
  #fault: Fault | null = null;
  #looking: Promise<void> | undefined;
  /** The part of a look that reads the store, which may take longer than a look waits for it. */
  #reading: Promise<void> | undefined;
  /** Something has changed since the last look began. */
  #expectsChange = false;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #hasLooked = false;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(trommel: Trommel, producer: () => Promise<JobProducer | undefined>) {
    this.#works = new Works(trommel);
    this.#producer = producer;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  /** Calls back with each event until the returned function is called. */
  watch(listener: (event: PolledEvent) => void): () => void {
    this.#watchers.add(listener);
    this.#schedule(0);
    return () => {
      this.#watchers.delete(listener);
      if (this.#watchers.size > 0) return;
      clearTimeout(this.#timer);
      this.#timer = undefined;
    };
  }

  /**
   * Everything as of the last look, which is at most two seconds old.
   * @throws TrommelError `unavailable` if Redis or the store does not answer and nothing is known yet
   */
  async snapshot(): Promise<Snapshot> {
    // A look that began before a change does not know it.
    if (this.#expectsChange) await this.#looking;
    if (this.#expectsChange || performance.now() - this.#lookedAtMs > freshMs) await this.#look();
    const all = this.#works.all;
    if (this.#fault !== null && !this.#hasLooked) throw new TrommelError("unavailable", this.#fault.message);
    const latestFirst = [...all].sort((a, b) => rankOf(b).localeCompare(rankOf(a)));
    const runs = latestFirst.slice(0, snapshotAtMost);
    const { samples } = this.#throughput;
    return {
      ...{ runs, left: all.length - runs.length, cluster: this.#cluster },
      ...{ throughput: samples, fault: this.#fault },
    };
  }

  /** Every run as of a look that is at most two seconds old, in order of their ids. @throws TrommelError as {@link snapshot} */
  async list(): Promise<readonly Brief[]> {
    await this.snapshot();
    return this.#works.all;
  }

  /** Something was submitted, or somebody acted: the next answer knows it. */
  expectChange(): void {
    this.#works.listSoon();
    this.#expectsChange = true;
  }

  close(): void {
    this.#isClosed = true;
    this.#watchers.clear();
    clearTimeout(this.#timer);
  }

  #schedule(afterMs: number): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    const timer = setTimeout(() => {
      void this.#look().finally(() => {
        // All who watched have left, and others may have come and begun again.
        if (this.#timer !== timer) return;
        this.#timer = undefined;
        this.#schedule(pollMs);
      });
    }, afterMs);
    this.#timer = timer;
  }

  #look(): Promise<void> {
    this.#looking ??= this.#lookOnce().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  async #lookOnce(): Promise<void> {
    this.#expectsChange = false;
    const producer = await this.#findRedis();
    // What Redis alone knows is not replaced by what the store alone knows.
    if (producer === "lost") return;
    try {
      const patience = { timeoutMs: lookPatienceMs, doing: "read the store" };
      await withTimeout(patience, this.#read());
      this.#recovered("store");
      this.#hasLooked = true;
    } catch (thrown) {
      this.#note({ of: "store", message: toTrommelError(thrown).message });
      return;
    }
    try {
      await this.#readCluster(producer);
      this.#lookedAtMs = performance.now();
    } catch (thrown) {
      this.#noteLost(thrown);
    }
  }

  /** One that is under way is waited for again: a store that is slow is not asked by several looks at once. */
  #read(): Promise<void> {
    this.#reading ??= this.#works
      .look({
        changed: (data) => this.#tell({ event: "run", data }),
        removed: (id) => this.#tell({ event: "removed", data: { id } }),
      })
      .finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  async #readCluster(producer: JobProducer | undefined): Promise<void> {
    const sample = this.#throughput.add(this.#works.all);
    const redis = producer === undefined ? "none" : "answers";
    // A Redis that is lost now is tried again for long by its client.
    const patience = { timeoutMs: redisPatienceMs, doing: "ask Redis" };
    const [queues, members] =
      producer === undefined
        ? [[], []]
        : await withTimeout(patience, Promise.all([readQueues(producer), readMembers(producer)]));
    this.#cluster = { redis, queues, members, imagesPerSecond: sample.imagesPerSecond };
    this.#tell({ event: "cluster", data: { ...this.#cluster, sample } });
  }

  async #findRedis(): Promise<JobProducer | undefined | "lost"> {
    try {
      const patience = { timeoutMs: redisPatienceMs, doing: "ask Redis" };
      const producer = await withTimeout(patience, this.#producer());
      if (producer !== undefined) await withTimeout(patience, producer.redis.ping());
      this.#recovered("redis");
      return producer;
    } catch (thrown) {
      this.#noteLost(thrown);
      return "lost";
    }
  }

  #noteLost(thrown: unknown): void {
    const what = isRedisRefusal(thrown) ? "refuses" : "does not answer";
    const message = `Redis ${what}: ${toTrommelError(thrown).message}. What is shown is as it was before`;
    this.#cluster = { ...this.#cluster, redis: "lost" };
    this.#note({ of: "redis", message });
  }

  #note(fault: Fault): void {
    this.#lookedAtMs = performance.now();
    if (this.#fault?.of === fault.of && this.#fault.message === fault.message) return;
    this.#fault = fault;
    this.#tell({ event: "fault", data: fault });
  }

  #recovered(of: Fault["of"]): void {
    if (this.#fault?.of !== of) return;
    this.#fault = null;
    this.#tell({ event: "recovered", data: { of } });
  }

  #tell(event: PolledEvent): void {
    for (const listener of this.#watchers) listener(event);
  }
}

/** What is worked on comes first, then the latest. */
function rankOf({ phase, startedAt, id }: Brief): string {
  return `${phase === "running" ? 1 : 0} ${startedAt ?? ""} ${id}`;
}
