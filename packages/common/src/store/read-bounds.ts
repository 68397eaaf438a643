import type { GetOptions } from "./object-store.js";

const mebibyte = 1024 * 1024;

/**
 * The largest object that is read whole: what the stores take where no bound is given. An artefact with a marker is not read
 * further than its marker says either.
 */
export const objectBytesAtMost = 4096 * mebibyte;

/** How much of each kind of our own artefacts is read; more is `too-large`, by the stated size, before the body. */
export const readBounds = {
  /** One small JSON object: configurations, specs, requests, ledgers, listings' sums. */
  document: { maxBytes: 64 * mebibyte },
  /** JSON that has a row per file: labels, splits, shards, errors. V8 takes no text that is longer (2²⁹ − 24 units). */
  dataset: { maxBytes: 512 * mebibyte },
  /** Networks and their weights. ONNX takes no file of 2 GiB. */
  network: { maxBytes: 2048 * mebibyte },
} as const satisfies Readonly<Record<string, GetOptions>>;
