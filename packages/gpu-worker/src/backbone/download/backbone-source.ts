import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { TrommelError, messageOf, openStore } from "@trommel/common";
import { fetchSecurely, requireSecure, statusError, tooLarge, withoutSecrets } from "./secure-fetch.js";

/** Where a backbone comes from: one named file, and those beside it. */
export interface BackboneSource {
  /** Without credentials, user, query or fragment. */
  readonly url: string;
  /**
   * The named file, or one given relative to it.
   * @throws TrommelError `not-found`, `forbidden`, `unavailable`, `timed-out`, `too-large` above `maxBytes`,
   *   `corrupt` when the named file has not the sha256 that was given
   */
  read(relativePath: string | undefined, maxBytes: number): Promise<Uint8Array>;
}

export interface SourceOptions {
  /** Expected of the named file; needed for https. */
  readonly sha256?: string;
  /** Reads `s3://` objects: the folder's URL, and the key in it. @default through `openStore` */
  readonly readStored?: (folderUrl: string, key: string, maxBytes: number) => Promise<Uint8Array>;
  /** For one file over https. @default 600000 */
  readonly timeoutMs?: number;
}

/** Opens a path, `file:`, `s3://` or `https://` location. Nothing is read yet. */
export function openBackboneSource(location: string, options: SourceOptions = {}): BackboneSource {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(location)?.[1]?.toLowerCase();
  if (options.sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(options.sha256)) {
    throw new TrommelError(
      "invalid-argument",
      `failed to open the backbone: sha256 "${options.sha256}" is not 64 hexadecimal digits.`,
    );
  }
  const open = scheme === undefined ? undefined : sources[scheme];
  if (scheme !== undefined && open === undefined) {
    throw new TrommelError(
      "invalid-argument",
      `failed to open the backbone: the scheme ${scheme}:// is not read. Give a path, file://, s3:// or https:// with --sha256.`,
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
      `failed to read ${source.url}: its sha256 is ${found}, and ${sha256.toLowerCase()} was expected. ` +
        "Check where the file comes from before trusting it.",
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
        if (!found.isFile()) throw notAFile(target);
        if (found.size > maxBytes) throw tooLarge(target, maxBytes);
        return await readFile(target);
      } catch (thrown) {
        throw fileError(target, thrown);
      }
    },
  };
}

/** A pipe would be waited for without end. */
function notAFile(path: string): TrommelError {
  return new TrommelError(
    "invalid-argument",
    `failed to read ${path}: it is a folder or no plain file. Name the model.json or the ONNX file in it.`,
  );
}

function fileError(path: string, thrown: unknown): TrommelError {
  if (thrown instanceof TrommelError) return thrown;
  const { code } = thrown as { code?: string };
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new TrommelError("not-found", `failed to read ${path}: there is no such file. Check the path.`);
  }
  return new TrommelError("forbidden", `failed to read ${path}: ${messageOf(thrown)}.`, { cause: thrown });
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
      `failed to open ${withoutSecrets(url)}: a download needs the sha256 of the file. Add --sha256.`,
    );
  }
  return {
    url: withoutSecrets(url),
    read: (relativePath, maxBytes) =>
      download(
        relativePath === undefined ? url : beside(url, relativePath),
        maxBytes,
        options.timeoutMs ?? 600_000,
      ),
  };
}

/** The query goes along: a signed URL may sign the whole folder. */
function beside(url: URL, relativePath: string): URL {
  const target = new URL(url);
  const folder = target.pathname.slice(0, target.pathname.length - basename(target.pathname).length);
  target.pathname = folder + relativePath.split("/").map(encodeURIComponent).join("/");
  return target;
}

async function download(url: URL, maxBytes: number, timeoutMs: number): Promise<Uint8Array> {
  const name = withoutSecrets(url);
  try {
    const response = await fetchSecurely(url, { signal: AbortSignal.timeout(timeoutMs) });
    if (!response.ok) {
      await response.body?.cancel();
      throw statusError(name, response.status);
    }
    if (Number(response.headers.get("content-length") ?? 0) > maxBytes) {
      await response.body?.cancel();
      throw tooLarge(name, maxBytes);
    }
    return await readBounded(response, name, maxBytes);
  } catch (thrown) {
    if (thrown instanceof TrommelError) throw thrown;
    const timedOut = thrown instanceof Error && thrown.name === "TimeoutError";
    throw new TrommelError(
      timedOut ? "timed-out" : "unavailable",
      timedOut
        ? `failed to download ${name}: it took longer than ${timeoutMs} ms. Download it by hand and import the file.`
        : `failed to download ${name}: ${messageOf((thrown as Error).cause ?? thrown)}. Check the address and the network.`,
      { cause: thrown },
    );
  }
}

async function readBounded(response: Response, name: string, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  // fetch's body is async iterable in Node; its type in the standard library does not say so.
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    total += chunk.byteLength;
    if (total > maxBytes) throw tooLarge(name, maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
