import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { TrommelError, messageOf, openStore } from "@trommel/common";
import { arrived } from "./what-arrived.js";
import { notAFile } from "./not-a-file.js";
import { requestSecurely, requireSecure, statusError, tooLarge, withoutSecrets } from "./secure-request.js";

/** The origin of a backbone: one named file, and other files relative to it. */
export interface BackboneSource {
  /** Without credentials, user, query or fragment. */
  readonly url: string;
  /**
   * The named file, or one given relative to it.
   * @throws TrommelError `not-found`, `forbidden`, `unavailable`, `timed-out`, `too-large` above `maxBytes`,
   *   `corrupt` when the named file has another sha256 than expected
   */
  read(relativePath: string | undefined, maxBytes: number): Promise<Uint8Array>;
}

export interface SourceOptions {
  /** Expected sha256 of the named file; required for https. */
  readonly sha256?: string;
  /** Reads `s3://` objects by the URL of their folder and their key in it. @default through `openStore` */
  readonly readStored?: (folderUrl: string, key: string, maxBytes: number) => Promise<Uint8Array>;
  /** Limit for one file over https. @default 600000 */
  readonly timeoutMs?: number;
}

/** Opens a path, `file:`, `s3://` or `https://` location. Nothing is read yet. */
export function openBackboneSource(location: string, options: SourceOptions = {}): BackboneSource {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(location)?.[1]?.toLowerCase();
  if (options.sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(options.sha256)) {
    throw new TrommelError(
      "invalid-argument",
      `cannot open the backbone: sha256 "${options.sha256}" is not 64 hexadecimal digits`,
    );
  }
  const open = scheme === undefined ? undefined : sources[scheme];
  if (scheme !== undefined && open === undefined) {
    throw new TrommelError(
      "invalid-argument",
      `cannot open the backbone: the scheme ${scheme}:// is not supported. Give a path, file://, s3:// or https:// with --sha256`,
    );
  }
  return verified(open === undefined ? fileSource(location) : open(location, options), options.sha256);
}

const sources: Readonly<Record<string, (location: string, options: SourceOptions) => BackboneSource>> = {
  file: (location) => fileSource(fileURLToPath(location)),
  s3: storedSource,
  https: webSource,
  http: webSource,
};

function verified(source: BackboneSource, sha256: string | undefined): BackboneSource {
  if (sha256 === undefined) return source;
  const read = async (relativePath: string | undefined, maxBytes: number): Promise<Uint8Array> => {
    const bytes = await source.read(relativePath, maxBytes);
    if (relativePath !== undefined) return bytes;
    const found = createHash("sha256").update(bytes).digest("hex");
    if (found === sha256.toLowerCase()) return bytes;
    throw new TrommelError(
      "corrupt",
      `cannot use ${source.url}: its sha256 is ${found}, expected ${sha256.toLowerCase()}. ` + arrived(bytes),
      { context: { url: source.url, found } },
    );
  };
  return { url: source.url, read };
}

function fileSource(path: string): BackboneSource {
  const named = resolve(path);
  return {
    url: pathToFileURL(named).href,
    read: async (relativePath, maxBytes) => {
      const target = relativePath === undefined ? named : join(dirname(named), relativePath);
      try {
        const found = await stat(target);
        if (!found.isFile()) throw await notAFile(target);
        if (found.size > maxBytes) throw tooLarge(target, maxBytes);
        return await readFile(target);
      } catch (thrown) {
        throw fileError(target, thrown);
      }
    },
  };
}

function fileError(path: string, thrown: unknown): TrommelError {
  if (thrown instanceof TrommelError) return thrown;
  const { code } = thrown as { code?: string };
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new TrommelError("not-found", `cannot read ${path}: no such file. Check the path`);
  }
  return new TrommelError("forbidden", `cannot read ${path}: ${messageOf(thrown)}`, { cause: thrown });
}

async function readFromStore(folderUrl: string, key: string, maxBytes: number): Promise<Uint8Array> {
  const store = openStore(folderUrl);
  try {
    return await store.get(key, { maxBytes });
  } finally {
    store.close();
  }
}

function storedSource(location: string, { readStored = readFromStore }: SourceOptions): BackboneSource {
  const slash = location.lastIndexOf("/");
  const folder = location.slice(0, slash);
  const name = location.slice(slash + 1);
  return {
    url: location,
    read: (relativePath, maxBytes) => readStored(folder, relativePath ?? name, maxBytes),
  };
}

function webSource(location: string, options: SourceOptions): BackboneSource {
  const url = new URL(location);
  requireSecure(url);
  if (options.sha256 === undefined) {
    throw new TrommelError(
      "invalid-argument",
      `cannot open ${withoutSecrets(url)}: a download needs the sha256 of the file. Add --sha256`,
    );
  }
  return {
    url: withoutSecrets(url),
    read: (relativePath, maxBytes) =>
      download(
        relativePath === undefined ? url : siblingOf(url, relativePath),
        maxBytes,
        options.timeoutMs ?? 600_000,
      ),
  };
}

/** Keeps the query: a signed URL may sign the whole folder. */
function siblingOf(url: URL, relativePath: string): URL {
  const target = new URL(url);
  const folder = target.pathname.slice(0, target.pathname.length - basename(target.pathname).length);
  target.pathname = folder + relativePath.split("/").map(encodeURIComponent).join("/");
  return target;
}

async function download(url: URL, maxBytes: number, timeoutMs: number): Promise<Uint8Array> {
  const name = withoutSecrets(url);
  try {
    const response = await requestSecurely(url, { signal: AbortSignal.timeout(timeoutMs) });
    const isOk = response.status >= 200 && response.status < 300;
    if (!isOk || Number(response.headers["content-length"] ?? 0) > maxBytes) {
      response.discard();
      throw isOk ? tooLarge(name, maxBytes) : statusError(name, response.status);
    }
    return await readBounded(response.bytes, name, maxBytes);
  } catch (thrown) {
    if (!(thrown instanceof TrommelError) || thrown.code !== "timed-out") throw thrown;
    throw new TrommelError(
      "timed-out",
      `cannot download ${name}: it took longer than ${timeoutMs} ms. Download it by hand and import the file`,
      { cause: thrown },
    );
  }
}

async function readBounded(
  bytes: AsyncIterable<Uint8Array>,
  name: string,
  maxBytes: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of bytes) {
    total += chunk.byteLength;
    if (total > maxBytes) throw tooLarge(name, maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
