import type { DeviceReport, ExtractorOptions, ViewBatch } from "../backbone/engines/engine.js";
import type { ClassifierRequest, DeviceThreadData } from "./device-thread.js";
import { ThreadClient } from "./thread-rpc.js";

/** The device, as the stages see it: models are loaded by key, batches are moved there and back. */
export class DeviceClient {
  readonly #thread: ThreadClient;
  /** Loads under way or done, by key, in the thread's current life. */
  #loads = new Map<string, Promise<void>>();
  #generation = 0;

  constructor(data: DeviceThreadData) {
    this.#thread = new ThreadClient(new URL("./device-thread.js", import.meta.url), data);
  }

  /** @throws TrommelError `device-unavailable` */
  async report(): Promise<DeviceReport> {
    return (await this.#thread.call("report", null)) as DeviceReport;
  }

  /** @param options called only where the model is not loaded */
  async ensureExtractor(key: string, options: () => Promise<ExtractorOptions>): Promise<void> {
    await this.#ensure(key, async () => {
      await this.#thread.call("loadExtractor", { ...(await options()), key });
    });
  }

  async ensureClassifier(key: string, options: () => Promise<Omit<ClassifierRequest, "key">>): Promise<void> {
    await this.#ensure(key, async () => {
      await this.#thread.call("loadClassifier", { ...(await options()), key });
    });
  }

  /** The batch's pixels are moved: they are gone here afterwards. @returns float32 [B·V, D] */
  async extract(key: string, batch: ViewBatch): Promise<Float32Array> {
    const transfer = [batch.pixels.buffer as ArrayBuffer];
    return (await this.#thread.call("extract", { key, batch }, { transfer })) as Float32Array;
  }

  /** The pixels are moved. @returns float32 [imageCount, classes] */
  async classify(key: string, pixels: Uint8Array, imageCount: number): Promise<Float32Array> {
    const transfer = [pixels.buffer as ArrayBuffer];
    return (await this.#thread.call("classify", { key, pixels, imageCount }, { transfer })) as Float32Array;
  }

  async stop(): Promise<void> {
    await this.#thread.stop();
  }

  /** Two shards that start together load a model once. */
  async #ensure(key: string, load: () => Promise<void>): Promise<void> {
    const held = (await this.#thread.call("holds", key)) as boolean;
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
