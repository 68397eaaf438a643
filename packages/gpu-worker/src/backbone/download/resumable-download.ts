import { open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { TrommelError, messageOf, sha256Hex } from "@trommel/common";
import {
  requestSecurely,
  statusError,
  tooLarge,
  withoutSecrets,
  type SecureResponse,
} from "./secure-request.js";

export interface DownloadOptions {
  readonly url: URL;
  /** The file that receives the bytes. An earlier part there is continued; `<path>.json` says which file it is a part of. */
  readonly path: string;
  readonly maxBytes: number;
  /** Called for every failure that is followed by another attempt. */
  readonly log: (line: string) => void;
  /** Called with the bytes so far, and the size of the file if the server says it. */
  readonly progress: (receivedBytes: number, totalBytes: number | undefined) => void;
  readonly timings?: DownloadTimings;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface DownloadTimings {
  /** An attempt fails after this long without a byte. @default 30000 */
  readonly idleTimeoutMs?: number;
  /** For all attempts together. @default 21600000 */
  readonly totalTimeoutMs?: number;
  /** Before the second attempt; doubles with each attempt that brings nothing new. @default 1000 */
  readonly firstDelayMs?: number;
}

/** Attempts in a row that bring no new byte. */
const fruitlessAtMost = 4;
const attemptsAtMost = 100;

/** Which file a part belongs to, so that the server can say whether that file is still the same. */
interface Part {
  /** The address is hashed because it may hold a signature. */
  readonly urlSha256: string;
  readonly etag?: string;
  readonly lastModified?: string;
}

/**
 * Downloads a file into `path`. If the server can, it continues the part that an earlier attempt left there, in this process
 * or in another (RFC 9110, sections 13.1.5 and 14). The bytes are not verified here.
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
      log(`${error.message}; trying again`);
      await delay((timings.firstDelayMs ?? 1000) * 2 ** fruitless);
    }
  }
}

/** Removes the part at a path. */
export async function discardPart(path: string): Promise<void> {
  await rm(path, { force: true });
  await rm(`${path}.json`, { force: true });
}

async function receive(options: DownloadOptions, signal: AbortSignal): Promise<void> {
  const { url, path, maxBytes, timings = {} } = options;
  const headers = { ...options.headers, ...(await resumeHeaders(path, url)) };
  const response = await requestSecurely(url, {
    ...{ signal, headers },
    idleTimeoutMs: timings.idleTimeoutMs ?? 30_000,
  });
  // An earlier attempt may have ended between the last byte and the end of the response.
  if (await isWhole(response, path)) return response.discard();
  const start = await startOf(response, options);
  const length = response.headers["content-length"];
  const expected = length === undefined ? undefined : start + Number(length);
  if ((expected ?? 0) > maxBytes) {
    response.discard();
    throw tooLarge(withoutSecrets(url), maxBytes);
  }
  if (start === 0) await beginPart(path, url, response);
  const received = await append(response, start, expected, options);
  if (expected !== undefined && received !== expected) {
    throw new TrommelError(
      "unavailable",
      `cannot download ${withoutSecrets(url)}: it ended after ${received} of ${expected} bytes`,
    );
  }
}

/** Asks for the bytes as they are: in a compressed response the positions would mean nothing. */
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

async function isWhole(response: SecureResponse, path: string): Promise<boolean> {
  if (response.status !== 416) return false;
  const size = /^bytes \*\/(\d+)$/.exec(response.headers["content-range"] ?? "")?.[1];
  return size !== undefined && Number(size) === (await sizeOf(path));
}

/** The position in the file at which the response begins. */
async function startOf(response: SecureResponse, { url, path }: DownloadOptions): Promise<number> {
  if (response.status === 200) return 0;
  const sizeBytes = await sizeOf(path);
  if (response.status === 206) {
    const start = /^bytes (\d+)-/.exec(response.headers["content-range"] ?? "")?.[1];
    if (start !== undefined && Number(start) === sizeBytes) return sizeBytes;
  }
  response.discard();
  if (response.status !== 206 && response.status !== 416) {
    throw statusError(withoutSecrets(url), response.status);
  }
  await discardPart(path);
  throw new TrommelError(
    "unavailable",
    `cannot continue the download of ${withoutSecrets(url)} at byte ${sizeBytes}: the server sends another range`,
  );
}

/** Starts from the first byte. A weak etag does not promise equal bytes, so it is not kept. */
async function beginPart(path: string, url: URL, response: SecureResponse): Promise<void> {
  await discardPart(path);
  const etag = response.headers.etag;
  const lastModified = response.headers["last-modified"];
  const part: Part = {
    urlSha256: sha256Hex(url.href),
    ...(etag === undefined || etag.startsWith("W/") ? {} : { etag }),
    ...(lastModified === undefined ? {} : { lastModified }),
  };
  await writeFile(`${path}.json`, JSON.stringify(part));
}

/** @returns undefined if the note is missing or damaged: then the download starts from the first byte */
async function readPart(path: string): Promise<Part | undefined> {
  try {
    return JSON.parse(await readFile(`${path}.json`, "utf8")) as Part;
  } catch {
    return undefined;
  }
}

/** Each piece is written before the next one is read, so that whatever breaks, the part holds all that arrived. */
async function append(
  { bytes }: SecureResponse,
  start: number,
  expected: number | undefined,
  { path, maxBytes, url, progress }: DownloadOptions,
): Promise<number> {
  const file = await open(path, start === 0 ? "w" : "r+");
  try {
    let position = start;
    for await (const chunk of bytes) {
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

/** What the network does is a TrommelError already; the rest is the disk's. */
function downloadError(thrown: unknown, { url, path }: DownloadOptions): TrommelError {
  if (thrown instanceof TrommelError) return thrown;
  const { code } = thrown as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new TrommelError(
      "exhausted",
      `cannot download ${withoutSecrets(url)}: no space is left for ${path}. Free some space, then start again`,
      { cause: thrown, retryable: false },
    );
  }
  return new TrommelError(
    "forbidden",
    `cannot write ${path}: ${messageOf(thrown)}. Check the cache's folder`,
    {
      cause: thrown,
    },
  );
}
