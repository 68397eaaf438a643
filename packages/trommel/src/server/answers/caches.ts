import type { ShardEntry } from "@trommel/common";
import type { BundleClassifier } from "@trommel/gpu-worker/serving";
import type { FailedImages } from "@trommel/coordinator/run-control";
import { loadServing } from "../../worker-package.js";
import { StoreSizes } from "./store-sizes.js";
import { Turns } from "./turns.js";

/** Values by their key, with a bound and a time; a value that is being made is shared. */
class Cache<Value> {
  readonly #values = new Map<string, { readonly value: Promise<Value>; readonly atMs: number }>();

  constructor(
    private readonly options: {
      readonly atMost: number;
      readonly keptMs: number;
      readonly drop?: (value: Value) => Promise<void>;
    },
  ) {}

  get(key: string, make: () => Promise<Value>): Promise<Value> {
    const { atMost, keptMs } = this.options;
    const known = this.#values.get(key);
    const nowMs = performance.now();
    if (known !== undefined && nowMs - known.atMs < keptMs) return known.value;
    const value = make();
    this.#drop(key);
    this.#values.set(key, { value, atMs: nowMs });
    for (const [oldest] of this.#values) {
      if (this.#values.size <= atMost) break;
      this.#drop(oldest);
    }
    value.catch(() => {
      if (this.#values.get(key)?.value === value) this.#values.delete(key);
    });
    return value;
  }

  clear(): void {
    for (const key of [...this.#values.keys()]) this.#drop(key);
  }

  #drop(key: string): void {
    const known = this.#values.get(key);
    this.#values.delete(key);
    void known?.value.then(this.options.drop).catch(() => undefined);
  }
}

const minuteMs = 60_000;

/** What several requests share. */
export class Caches {
  /** Failed images by run. */
  readonly failures = new Cache<FailedImages>({ atMost: 4, keptMs: minuteMs / 4 });
  /** The places of the worst mistakes of a run within archives, by their keys. */
  readonly mistaken = new Cache<ReadonlyMap<string, ShardEntry>>({ atMost: 8, keptMs: 60 * minuteMs });
  /** Thumbnails by run and key; null for a picture that cannot be shown. */
  readonly thumbnails = new Cache<Uint8Array | null>({ atMost: 500, keptMs: 60 * minuteMs });
  /** Models that were tried, by the location of their bundle. */
  readonly classifiers = new Cache<BundleClassifier>({
    atMost: 2,
    keptMs: 60 * minuteMs,
    drop: (classifier) => classifier.close(),
  });
  readonly storeSizes = new StoreSizes();
  /** Each picture that is made small takes memory. */
  readonly shrinking = new Turns({ atOnce: 4, waitingAtMost: 200, doing: "show a picture" });

  classifier(bundle: string): Promise<BundleClassifier> {
    return this.classifiers.get(bundle, async () => (await loadServing()).loadClassifier(bundle));
  }

  close(): void {
    for (const cache of [this.failures, this.mistaken, this.thumbnails, this.classifiers]) cache.clear();
  }
}
