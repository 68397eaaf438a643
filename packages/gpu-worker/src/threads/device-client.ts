import type {
  Classified,
  DeviceReport,
  ExtractorOptions,
  FeatureClassifierOptions,
  ViewBatch,
} from "../backbone/engines/engine.js";
import type { DeviceRequests, DeviceThreadData } from "./device-thread.js";
import { OrderedTurns } from "../image/budgets/ordered-turns.js";
import type { ClassifierModel, StageDevice } from "../stages/context.js";
import { ThreadClient } from "../rpc/thread-client.js";

/** Sessions that a CPU runs side by side, at most: each has its own weights and activations in memory. */
const sessionsAtMost = 4;
/** Batches that a session has been given: one is computed, the next is there when it ends. */
const batchesPerSession = 2;

/**
 * The device, as the stages see it: models are loaded by key, batches are moved there and back.
 *
 * On the CPU the threads are shared out over several sessions, each in a thread of its own, and batches run
 * side by side: two sessions of one thread each did 60 images a second where one session of two threads did 50 (MobileNetV1
 * 0.75, six views, two cores), for no operator waits for its slowest thread. Which session computes a batch changes
 * nothing in it.
 */
export class DeviceClient implements StageDevice {
  readonly #sessions: readonly DeviceSession[];
  readonly #turns: OrderedTurns;

  constructor(data: DeviceThreadData) {
    this.#sessions = shareOutThreads(data).map((threads) => new DeviceSession({ ...data, threads }));
    this.#turns = new OrderedTurns(batchesPerSession * this.#sessions.length);
  }

  get sessionCount(): number {
    return this.#sessions.length;
  }

  get idleMs(): number {
    return this.#sessions.reduce((sum, session) => sum + session.idleMs, 0);
  }

  /** @throws TrommelError `device-unavailable` */
  async report(): Promise<DeviceReport> {
    const reports = await Promise.all(this.#sessions.map((session) => session.report()));
    const [first] = reports as [DeviceReport, ...DeviceReport[]];
    if (reports.length === 1) return first;
    const threads = reports.reduce((sum, report) => sum + report.threads, 0);
    const description = `${first.description}; ${reports.length} sessions side by side`;
    return { ...first, threads, description };
  }

  async ensureExtractor(key: string, options: () => Promise<ExtractorOptions>): Promise<void> {
    const read = once(options);
    await Promise.all(this.#sessions.map((session) => session.ensureExtractor(key, read)));
  }

  async ensureClassifier(key: string, options: () => Promise<ClassifierModel>): Promise<void> {
    const read = once(options);
    await Promise.all(this.#sessions.map((session) => session.ensureClassifier(key, read)));
  }

  async ensureHeads(key: string, options: () => Promise<FeatureClassifierOptions>): Promise<void> {
    const read = once(options);
    await Promise.all(this.#sessions.map((session) => session.ensureHeads(key, read)));
  }

  async classifyFeatures(
    key: string,
    embeddings: Float32Array,
    imageCount: number,
    order = 0,
  ): Promise<Classified> {
    return await this.#inTurn(order, (session) => session.classifyFeatures(key, embeddings, imageCount));
  }

  async extract(key: string, batch: ViewBatch, order = 0): Promise<Float32Array> {
    return await this.#inTurn(order, (session) => session.extract(key, batch));
  }

  async classify(key: string, pixels: Uint8Array, imageCount: number, order = 0): Promise<Classified> {
    return await this.#inTurn(order, (session) => session.classify(key, pixels, imageCount));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#sessions.map((session) => session.stop()));
  }

  async #inTurn<Result>(
    order: number,
    compute: (session: DeviceSession) => Promise<Result>,
  ): Promise<Result> {
    const giveBack = await this.#turns.take(order);
    try {
      return await compute(this.#idlest());
    } finally {
      giveBack();
    }
  }

  #idlest(): DeviceSession {
    return this.#sessions.reduce((best, session) => (session.waiting < best.waiting ? session : best));
  }
}

/** Threads of each session. Only ONNX Runtime's CPU provider gains from several. */
function shareOutThreads({ engine, device, threads }: DeviceThreadData): number[] {
  const count = engine === "onnx" && device === "cpu" ? Math.max(1, Math.min(threads, sessionsAtMost)) : 1;
  return Array.from({ length: count }, (_, session) => Math.floor((threads + session) / count));
}

function once<T>(read: () => Promise<T>): () => Promise<T> {
  let reading: Promise<T> | undefined;
  return () => (reading ??= read());
}

/** A thread with a copy of its own of each loaded model; it computes one batch at a time. */
class DeviceSession {
  readonly #thread: ThreadClient<DeviceRequests, DeviceThreadData>;
  #waiting = 0;
  #idleSince = performance.now();
  #idledMs = 0;
  /** Loads under way or done, by key, in the thread's current life. */
  #loads = new Map<string, Promise<void>>();
  #generation = 0;

  constructor(data: DeviceThreadData) {
    this.#thread = new ThreadClient(new URL("./device-thread.js", import.meta.url), data);
  }

  /** Batches that it computes or will compute. */
  get waiting(): number {
    return this.#waiting;
  }

  get idleMs(): number {
    return this.#idledMs + (this.#waiting === 0 ? performance.now() - this.#idleSince : 0);
  }

  async report(): Promise<DeviceReport> {
    return this.#thread.call("report", null);
  }

  async ensureExtractor(key: string, options: () => Promise<ExtractorOptions>): Promise<void> {
    await this.#ensure(key, async () => {
      await this.#thread.call("loadExtractor", { ...(await options()), key });
    });
  }

  async ensureClassifier(key: string, options: () => Promise<ClassifierModel>): Promise<void> {
    await this.#ensure(key, async () => {
      await this.#thread.call("loadClassifier", { ...(await options()), key });
    });
  }

  async ensureHeads(key: string, options: () => Promise<FeatureClassifierOptions>): Promise<void> {
    await this.#ensure(key, async () => {
      await this.#thread.call("loadHeads", { ...(await options()), key });
    });
  }

  async classifyFeatures(key: string, embeddings: Float32Array, imageCount: number): Promise<Classified> {
    const transfer = [embeddings.buffer as ArrayBuffer];
    return await this.#compute(
      this.#thread.call("classifyFeatures", { key, embeddings, imageCount }, { transfer }),
    );
  }

  async extract(key: string, batch: ViewBatch): Promise<Float32Array> {
    const transfer = [batch.pixels.buffer as ArrayBuffer];
    return await this.#compute(this.#thread.call("extract", { key, batch }, { transfer }));
  }

  async classify(key: string, pixels: Uint8Array, imageCount: number): Promise<Classified> {
    const transfer = [pixels.buffer as ArrayBuffer];
    return await this.#compute(this.#thread.call("classify", { key, pixels, imageCount }, { transfer }));
  }

  async stop(): Promise<void> {
    await this.#thread.stop();
  }

  async #compute<Result>(call: Promise<Result>): Promise<Result> {
    this.#idledMs = this.idleMs;
    this.#waiting += 1;
    try {
      return await call;
    } finally {
      this.#waiting -= 1;
      this.#idleSince = performance.now();
    }
  }

  /** Two shards that start together load a model once. */
  async #ensure(key: string, load: () => Promise<void>): Promise<void> {
    const held = await this.#thread.call("holds", key);
    if (this.#generation !== this.#thread.generation) {
      this.#loads = new Map();
      this.#generation = this.#thread.generation;
    }
    const underWay = this.#loads.get(key);
    if (underWay !== undefined) await underWay;
    else if (!held) {
      const loading = load().finally(() => this.#loads.delete(key));
      this.#loads.set(key, loading);
      await loading;
    }
  }
}
