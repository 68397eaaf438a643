import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { messageOf, TrommelError } from "@trommel/common";
import { allocateRun, EpochRuns, type BatchRun, type RunMemory, type RunSetting } from "./batch-run.js";
import type { PrepareData, PreparedRun, PrepareRequest } from "./prepare-thread.js";
import type { JoinedRows, RowSet } from "../model/row-set.js";

/** Prepares a training's runs. The numbers are the same wherever it does. */
export interface RunSource {
  /** The runs of an epoch in order; each is good until the next one is asked for. */
  runs(epoch: number): AsyncIterable<BatchRun>;
  release(): Promise<void>;
}

/** Makes a run on the calling thread when it is asked for. */
export function createInlineSource(setting: RunSetting, rows: JoinedRows): RunSource {
  const memory = allocateRun(setting);
  return {
    // eslint-disable-next-line @typescript-eslint/require-await -- the other source has something to wait for
    async *runs(epoch) {
      const runs = new EpochRuns(setting, rows, epoch);
      for (let run = runs.next(memory); run !== undefined; run = runs.next(memory)) yield run;
    },
    release: () => Promise.resolve(),
  };
}

/**
 * Makes each run on a second thread while the one before is computed, which takes a quarter of the time off an epoch. The
 * first of the next epoch too, during the validation. Features in shared memory are not copied.
 */
export async function createThreadSource(setting: RunSetting, rows: JoinedRows): Promise<RunSource> {
  const workerData: PrepareData = { setting, width: setting.featureCount, parts: rows.parts.map(shared) };
  const worker = new Worker(new URL("./prepare-thread.js", import.meta.url), { workerData });
  await once(worker, "online");
  return new ThreadSource(setting, worker);
}

interface Pending {
  readonly epoch: number;
  readonly run: Promise<PreparedRun>;
}

class ThreadSource implements RunSource {
  readonly #worker: Worker;
  #spare: RunMemory[];
  #pending: Pending | undefined;
  #failure: Error | undefined;

  constructor(setting: RunSetting, worker: Worker) {
    this.#worker = worker;
    worker.on("error", (error: Error) => (this.#failure = error));
    this.#spare = [allocateRun(setting), allocateRun(setting)];
  }

  async *runs(epoch: number): AsyncGenerator<BatchRun> {
    // One that was begun for an epoch that never came, or for one that was left early.
    if (this.#pending !== undefined && this.#pending.epoch !== epoch) await this.#take(this.#pending);
    this.#pending ??= this.#ask(epoch, true);
    for (;;) {
      const prepared = await this.#take(this.#pending);
      if (prepared.run === undefined) {
        this.#pending = this.#ask(epoch + 1, true);
        return;
      }
      this.#pending = this.#ask(epoch, false);
      yield { ...prepared.run, memory: prepared.memory };
    }
  }

  async release(): Promise<void> {
    await this.#worker.terminate();
  }

  async #take({ run }: Pending): Promise<PreparedRun> {
    const prepared = await run;
    this.#pending = undefined;
    this.#spare.push(prepared.memory);
    return prepared;
  }

  #ask(epoch: number, begins: boolean): Pending {
    // Of the two, the one that came back longer ago: the other is still being used.
    const [memory, ...rest] = this.#spare;
    if (memory === undefined)
      throw new TrommelError("internal", "failed to prepare a run: no memory is free.");
    this.#spare = rest;
    const request: PrepareRequest = { epoch, begins, memory };
    const run = this.#answer();
    // It may fail while nobody waits for it yet.
    run.catch(() => undefined);
    this.#worker.postMessage(request, buffersOf(memory));
    return { epoch, run };
  }

  async #answer(): Promise<PreparedRun> {
    try {
      if (this.#failure !== undefined) throw this.#failure;
      const [prepared] = (await once(this.#worker, "message")) as [PreparedRun];
      return prepared;
    } catch (cause) {
      throw new TrommelError("internal", `failed to prepare a run of training: ${messageOf(cause)}`, {
        cause,
      });
    }
  }
}

function buffersOf({ features, labels, targets, factors }: RunMemory): ArrayBuffer[] {
  return [features, labels, targets, ...factors.values()].map(({ buffer }) => buffer);
}

/** The rows as another thread sees them too. */
function shared({ features, labels }: RowSet): RowSet {
  return { features: toShared(features, Float32Array), labels: toShared(labels, Int32Array) };
}

function toShared<T extends Float32Array | Int32Array>(
  values: T,
  type: new (buffer: SharedArrayBuffer) => T,
): T {
  if (values.buffer instanceof SharedArrayBuffer) return values;
  const copy = new type(new SharedArrayBuffer(values.byteLength));
  copy.set(values);
  return copy;
}
