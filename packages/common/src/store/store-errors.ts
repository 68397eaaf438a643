import { TrommelError } from "../errors.js";
import type { ByteRange } from "./object-store.js";

/** Errors that both stores word the same way. */

export function notFound(url: string, key: string): TrommelError {
  return new TrommelError("not-found", `cannot read ${url}/${key}: there is no such object. Check the key`, {
    context: { store: url, key },
  });
}

export function tooLarge(url: string, key: string, sizeBytes: number, maxBytes: number): TrommelError {
  return new TrommelError(
    "too-large",
    `cannot read ${url}/${key}: it has ${sizeBytes} bytes, at most ${maxBytes} are allowed. ` +
      `Remove it or raise the bound`,
    { context: { store: url, key, sizeBytes, maxBytes } },
  );
}

export function changed(url: string, key: string, listed: string, found: string): TrommelError {
  return new TrommelError(
    "changed",
    `cannot read ${url}/${key}: it is not the object that was listed (etag ${found} now, ${listed} then). ` +
      `Leave a prefix alone while it is worked through, or start a new run on it`,
    { context: { store: url, key, listed, found } },
  );
}

/** The object has the listed etag or none was asked for, and yet ends before the bytes that are read. */
export function endsBefore(url: string, key: string, { offset, length }: ByteRange): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot read ${url}/${key}: it ends before its byte ${offset + length}. Try again, or put it back from a copy`,
    { retryable: true, context: { store: url, key, offset, length } },
  );
}

/** The signal's own reason where that is one of our errors. */
export function cancelled(url: string, key: string, signal: AbortSignal): TrommelError {
  if (signal.reason instanceof TrommelError) return signal.reason;
  return new TrommelError("cancelled", `cannot read ${url}/${key}: the caller gave up on it`, {
    context: { store: url, key },
    cause: signal.reason,
  });
}
