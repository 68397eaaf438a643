import type { ShardEntry } from "@trommel/common";
import type { BundleClassifier } from "@trommel/gpu-worker/serving";
import { loadServing } from "../../worker-package.js";
import { Cache } from "./cache.js";
import { FailedPages } from "./failed-pages.js";
import { StoreSizes } from "./store-sizes.js";
import { Turns } from "./turns.js";

const minuteMs = 60_000;

/** What several requests share. */
export class Caches {
  readonly failures = new FailedPages();
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
    this.failures.clear();
    for (const cache of [this.mistaken, this.thumbnails, this.classifiers]) cache.clear();
  }
}
