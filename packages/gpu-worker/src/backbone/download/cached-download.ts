import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { TrommelError, messageOf, sha256Hex } from "@trommel/common";
import type { BackboneSource } from "./backbone-source.js";
import { discardPart, downloadResumably, type DownloadTimings } from "./resumable-download.js";
import { arrived } from "./what-arrived.js";
import { requireSecure, withoutSecrets } from "./secure-request.js";

export interface CachedDownloadOptions {
  readonly url: string;
  /** Expected sha256 of the whole file, in lower case. */
  readonly sha256: string;
  /** Holds each file under its hash. */
  readonly cacheFolder: string;
  /** Called with what is done, one line each. */
  readonly log: (line: string) => void;
  /** Called with how far the download is, a line at each tenth. */
  readonly progress: (line: string) => void;
  readonly timings?: DownloadTimings;
  /** Sent to the address itself, and an authorisation to no other host that it redirects to. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * One file from the network: verified against its hash before anything uses it, and cached.
 * @throws TrommelError from `read`: `corrupt`, naming both hashes, and as downloading does
 */
export function cachedDownload(options: CachedDownloadOptions): BackboneSource {
  const url = new URL(options.url);
  requireSecure(url);
  const name = withoutSecrets(url);
  return {
    url: name,
    read: async (relativePath, maxBytes) => {
      if (relativePath !== undefined) {
        throw new TrommelError(
          "unsupported",
          `cannot read ${relativePath} relative to ${name}: its hash is unknown. Download the model's folder and import it by its path`,
        );
      }
      return (await readCached(options)) ?? (await fetchInto(options, url, maxBytes));
    },
  };
}

/** Verifies the cached file again: disks and people change files. */
async function readCached({
  cacheFolder,
  sha256,
  log,
}: CachedDownloadOptions): Promise<Uint8Array | undefined> {
  const path = join(cacheFolder, sha256);
  const bytes = await readIfThere(path);
  if (bytes === undefined) return undefined;
  if (sha256Hex(bytes) === sha256) {
    log(`found ${path} in the cache, with the expected hash`);
    return bytes;
  }
  log(`${path} in the cache has another hash by now; removing it and downloading it again`);
  await rm(path);
  return undefined;
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new TrommelError(
      "forbidden",
      `cannot read ${path}: ${messageOf(thrown)}. Check the cache's folder`,
      {
        cause: thrown,
      },
    );
  }
}

async function fetchInto(options: CachedDownloadOptions, url: URL, maxBytes: number): Promise<Uint8Array> {
  const { cacheFolder, sha256, log, timings } = options;
  const part = join(cacheFolder, `${sha256}.partial`);
  await makeFolder(cacheFolder);
  await downloadResumably({
    url,
    path: part,
    maxBytes,
    log,
    progress: everyTenth(options.progress, withoutSecrets(url)),
    ...(timings === undefined ? {} : { timings }),
    ...(options.headers === undefined ? {} : { headers: options.headers }),
  });
  const bytes = await readFile(part);
  const found = sha256Hex(bytes);
  if (found !== sha256) {
    await discardPart(part);
    throw new TrommelError(
      "corrupt",
      `cannot use ${withoutSecrets(url)}: its sha256 is ${found}, expected ${sha256}. ` +
        `The download is deleted. ${arrived(bytes)}`,
      { context: { url: withoutSecrets(url), found, expected: sha256 } },
    );
  }
  await rename(part, join(cacheFolder, sha256));
  await discardPart(part);
  return bytes;
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (cause) {
    throw new TrommelError(
      "forbidden",
      `cannot create the cache's folder ${path}: ${messageOf(cause)}. Set TROMMEL_CACHE to another folder`,
      { cause },
    );
  }
}

const mebibyte = 2 ** 20;

/** Reports every tenth of the file, or every 16 MiB if the size is unknown. */
function everyTenth(
  say: (line: string) => void,
  name: string,
): (received: number, total: number | undefined) => void {
  let last = -1;
  return (received, total) => {
    const step = Math.floor(total === undefined ? received / (16 * mebibyte) : (10 * received) / total);
    if (step === last) return;
    last = step;
    const size = (bytes: number): string => (bytes / mebibyte).toFixed(1);
    say(`${name}: ${size(received)} ${total === undefined ? "" : `of ${size(total)} `}MiB`);
  };
}
