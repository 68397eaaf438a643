import { open, readFile, rm, stat, writeFile, type FileHandle } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { TrommelError, messageOf, sha256Hex } from "@trommel/common";
import { fetchSecurely, statusError, tooLarge, withoutSecrets } from "./secure-fetch.js";

export interface DownloadOptions {
  readonly url: URL;
  /** Where the bytes gather. What lies there is continued; `<path>.json` beside it says what it is a part of. */
  readonly path: string;
  readonly maxBytes: number;
  /** Told of every failure that is followed by another attempt. */
  readonly log: (line: string) => void;
  /** Told the bytes so far, and of how many where the server says. */
  readonly progress: (receivedBytes: number, totalBytes: number | undefined) => void;
  readonly timings?: DownloadTimings;
}

export interface DownloadTimings {
  /** Without a byte for this long an attempt is given up. @default 30000 */
  readonly idleTimeoutMs?: number;
  /** For all attempts together. @default 21600000 */
  readonly totalTimeoutMs?: number;
  /** Before the second attempt; doubles with each that brings nothing new. @default 1000 */
  readonly firstDelayMs?: number;
}

/** Attempts in a row that bring not one new byte. */
const fruitlessAtMost = 4;
const attemptsAtMost = 100;

/** The part at hand: what it is a part of, so that the server can say whether that is still the same file. */
interface Part {
  /** Of the address, which may hold a signature. */
  readonly urlSha256: string;
  readonly etag?: string;
  readonly lastModified?: string;
}

/**
 * Downloads a file into `path`, continuing what an attempt before left there, in this process or an earlier one, where
 * the server can (RFC 9110, sections 13.1.5 and 14). The bytes are not verified here.
 * @throws TrommelError `not-found`, `forbidden`, `unavailable`, `timed-out`, `too-large`, `exhausted` for a full disk,
 *   `invalid-argument` for plain http; what was received stays for the next time unless it is too large
 */
export async function downloadResumably(options: DownloadOptions): Promise<void> {
  const { path, log, timings = {} } = options;
  const total = AbortSignal.timeout(timings.totalTimeoutMs ?? 21_600_000);
  let most = await sizeOf(path);
  let fruitless = 0;
  for (let attempt = 1; ; attempt++) {
    try {
      await receive(options, total);
      return;
    } catch (thrown) {
      const error = downloadError(thrown, options);
      if (error.code === "too-large") await discardPart(path);
      const size = await sizeOf(path);
      fruitless = size > most ? 0 : fruitless + 1;
      most = Math.max(most, size);
      const isLast = fruitless >= fruitlessAtMost || attempt >= attemptsAtMost || total.aborted;
      if (!error.retryable || isLast) throw error;
      log(`${error.message} Trying again.`);
      await delay((timings.firstDelayMs ?? 1000) * 2 ** fruitless);
    }
  }
}

/** Removes what has gathered at a path. */
export async function discardPart(path: string): Promise<void> {
  await rm(path, { force: true });
  await rm(`${path}.json`, { force: true });
}

async function receive(options: DownloadOptions, total: AbortSignal): Promise<void> {
  const { url, path, maxBytes, timings = {} } = options;
  const idle = new IdleTimer(timings.idleTimeoutMs ?? 30_000);
  try {
    const headers = await resumeHeaders(path, url);
    const response = await fetchSecurely(url, { signal: AbortSignal.any([total, idle.signal]), headers });
    if (await isWhole(response, path)) return;
    const start = await startOf(response, options);
    const expected = endOf(response, start);
    if ((expected ?? 0) > maxBytes) {
      await response.body?.cancel();
      throw tooLarge(withoutSecrets(url), maxBytes);
    }
    if (start === 0) await beginPart(path, url, response);
    const received = await append(response, start, { ...options, expected, idle });
    if (expected !== undefined && received !== expected) {
      throw new TrommelError(
        "unavailable",
        `failed to download ${withoutSecrets(url)}: it ended after ${received} of ${expected} bytes.`,
      );
    }
  } finally {
    idle.stop();
  }
}

class IdleTimer {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor(timeoutMs: number) {
    this.#timer = setTimeout(
      () => this.#controller.abort(new DOMException(`no byte for ${timeoutMs} ms`, "TimeoutError")),
      timeoutMs,
    );
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  restart(): void {
    this.#timer.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/** Compressed on the way, byte positions would mean nothing. */
async function resumeHeaders(path: string, url: URL): Promise<Record<string, string>> {
  const identity = { "accept-encoding": "identity" };
  const sizeBytes = await sizeOf(path);
  const part = await readPart(path);
  if (sizeBytes === 0 || part?.urlSha256 !== sha256Hex(url.href)) return identity;
  const validator = part.etag ?? part.lastModified;
  return {
    ...identity,
    range: `bytes=${sizeBytes}-`,
    ...(validator === undefined ? {} : { "if-range": validator }),
  };
}

/** Nothing was left to ask for: the last writer ended between the last byte and what comes after it. */
async function isWhole(response: Response, path: string): Promise<boolean> {
  const size = /^bytes \*\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1];
  if (response.status !== 416 || size === undefined || Number(size) !== (await sizeOf(path))) return false;
  await response.body?.cancel();
  return true;
}

/** Where in the file the answer begins. */
async function startOf(response: Response, { url, path }: DownloadOptions): Promise<number> {
  if (response.status === 200) return 0;
  const sizeBytes = await sizeOf(path);
  if (response.status === 206) {
    const start = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1];
    if (start !== undefined && Number(start) === sizeBytes) return sizeBytes;
  }
  await response.body?.cancel();
  if (response.status !== 206 && response.status !== 416) {
    throw statusError(withoutSecrets(url), response.status);
  }
  await discardPart(path);
  throw new TrommelError(
    "unavailable",
    `failed to continue the download of ${withoutSecrets(url)} at byte ${sizeBytes}: the server has another range.`,
  );
}

function endOf(response: Response, start: number): number | undefined {
  const length = response.headers.get("content-length");
  return length === null ? undefined : start + Number(length);
}

/** Begins anew. A weak etag does not promise equal bytes, so it is no use here. */
async function beginPart(path: string, url: URL, response: Response): Promise<void> {
  await discardPart(path);
  const etag = response.headers.get("etag");
  const lastModified = response.headers.get("last-modified");
  const part: Part = {
    urlSha256: sha256Hex(url.href),
    ...(etag === null || etag.startsWith("W/") ? {} : { etag }),
    ...(lastModified === null ? {} : { lastModified }),
  };
  await writeFile(`${path}.json`, JSON.stringify(part));
}

async function readPart(path: string): Promise<Part | undefined> {
  try {
    return JSON.parse(await readFile(`${path}.json`, "utf8")) as Part;
  } catch {
    // Without a note nothing is known of the part, and the download begins anew.
    return undefined;
  }
}

interface Appending extends DownloadOptions {
  readonly expected: number | undefined;
  readonly idle: IdleTimer;
}

async function append(response: Response, start: number, options: Appending): Promise<number> {
  const { path, maxBytes, url, expected, idle, progress } = options;
  const file: FileHandle = await open(path, start === 0 ? "w" : "r+");
  try {
    let position = start;
    // fetch's body is async iterable in Node; its type in the standard library does not say so.
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      idle.restart();
      if (position + chunk.byteLength > maxBytes) throw tooLarge(withoutSecrets(url), maxBytes);
      await file.write(chunk, 0, chunk.byteLength, position);
      position += chunk.byteLength;
      progress(position, expected);
    }
    return position;
  } finally {
    await file.close();
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return 0;
    throw thrown;
  }
}

function downloadError(thrown: unknown, { url, path }: DownloadOptions): TrommelError {
  if (thrown instanceof TrommelError) return thrown;
  const name = withoutSecrets(url);
  const { code, syscall } = thrown as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new TrommelError(
      "exhausted",
      `failed to download ${name}: no space is left for ${path}. Make some, and start again.`,
      { cause: thrown, retryable: false },
    );
  }
  // fetch wraps what the network does; an error that comes with a system call itself is the disk's.
  if (syscall !== undefined) {
    return new TrommelError("forbidden", `failed to write ${path}: ${messageOf(thrown)}.`, { cause: thrown });
  }
  const timedOut = thrown instanceof Error && thrown.name === "TimeoutError";
  const why = timedOut ? thrown.message : messageOf((thrown as Error).cause ?? thrown);
  return new TrommelError(timedOut ? "timed-out" : "unavailable", `failed to download ${name}: ${why}.`, {
    cause: thrown,
  });
}
