import type { BigIntStats } from "node:fs";
import { constants, copyFile, type FileHandle, link, open, rename, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { TrommelError } from "../../errors.js";
import { fileError, isAbsent, systemCode } from "./file-errors.js";
import { infoOf, listFiles } from "./file-list.js";
import { deadPartials, foldersBelow, partialName } from "./file-partial.js";
import { FileRoot } from "./file-root.js";
import { checkKey, checkPrefix } from "../key.js";
import type { Location } from "../location.js";
import type {
  ByteRange,
  CopyOptions,
  GetOptions,
  ListOptions,
  ObjectInfo,
  ObjectStore,
  PutOptions,
} from "../object-store.js";
import { objectBytesAtMost } from "../read-bounds.js";
import { cancelled, changed, endsBefore, notFound, tooLarge } from "../store-errors.js";

/**
 * A local or shared folder as an object store. What S3 allows and a folder does not: a key that is also the folder
 * of another one (`a` and `a/b`) is refused with `conflict`.
 *
 * An object becomes visible by a rename (or by link(2), which fails where the name is taken) of a file that is
 * complete and flushed, so that data written before its marker is on the disk before its marker.
 */
export class FileStore implements ObjectStore {
  readonly url: string;
  private readonly root: FileRoot;
  private saidNoLinks = false;
  /** Folders that were swept: once each, before the first write. */
  private readonly swept = new Set<string>();

  constructor(
    location: Extract<Location, { kind: "file" }>,
    private readonly onNotice: (notice: string) => void,
  ) {
    this.url = location.url;
    this.root = new FileRoot(location.path);
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    checkKey(key);
    const path = this.root.pathOf(key);
    try {
      const real = await this.root.realPathOf(path);
      // Looked at before it is opened: opening a pipe would wait for a writer.
      const stats = await stat(real);
      if (!stats.isFile()) throw notFound(this.url, key);
      if (options.signal?.aborted) throw cancelled(this.url, key, options.signal);
      const { maxBytes = objectBytesAtMost } = options;
      const { range } = options;
      return await readBytes(real, range, (stats) => {
        const { sizeBytes, etag } = infoOf(key, stats);
        const wanted = range?.length ?? sizeBytes;
        if (wanted > maxBytes) throw tooLarge(this.url, key, wanted, maxBytes);
        if (options.etag !== undefined && etag !== options.etag)
          throw changed(this.url, key, options.etag, etag);
        if (range !== undefined && range.offset + range.length > sizeBytes)
          throw endsBefore(this.url, key, range);
      });
    } catch (thrown) {
      if (isAbsent(thrown)) throw notFound(this.url, key);
      throw fileError(`read ${path}`, thrown);
    }
  }

  async put(key: string, body: Uint8Array, options: PutOptions = {}): Promise<"written" | "exists"> {
    return this.write(key, body, options.ifAbsent ?? false);
  }

  async putStream(key: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    await this.write(key, chunks, false);
  }

  private async write(key: string, body: Body, ifAbsent: boolean): Promise<"written" | "exists"> {
    checkKey(key);
    const path = this.root.pathOf(key);
    try {
      const folder = await this.root.makeFolderFor(path);
      await this.sweepFolder(folder);
      const partial = join(folder, await partialName());
      try {
        await writeFlushed(partial, body);
        return await this.publish(partial, path, ifAbsent);
      } finally {
        await unlinkIfThere(partial);
      }
    } catch (thrown) {
      throw fileError(`write ${path}`, thrown);
    }
  }

  async copyFrom(
    from: ObjectStore,
    key: string,
    as: string,
    { etag, link: asLink = false }: CopyOptions = {},
  ): Promise<"written" | "exists" | "elsewhere"> {
    if (!(from instanceof FileStore)) return "elsewhere";
    checkKey(as);
    const real = await from.realFile(key, etag);
    const path = this.root.pathOf(as);
    try {
      const folder = await this.root.makeFolderFor(path);
      if (asLink) return await linkNew(real, path);
      await this.sweepFolder(folder);
      const partial = join(folder, await partialName());
      try {
        await copyFile(real, partial, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
        return await this.publish(partial, path, true);
      } finally {
        await unlinkIfThere(partial);
      }
    } catch (thrown) {
      throw fileError(`write ${path}`, thrown);
    }
  }

  /** The path of an object, links followed. @throws TrommelError `not-found`, `changed` */
  private async realFile(key: string, etag: string | undefined): Promise<string> {
    checkKey(key);
    const found = await this.head(key);
    if (found === undefined) throw notFound(this.url, key);
    if (etag !== undefined && found.etag !== etag) throw changed(this.url, key, etag, found.etag);
    return this.root.realPathOf(this.root.pathOf(key));
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    checkKey(key);
    const path = this.root.pathOf(key);
    try {
      const stats = await stat(await this.root.realPathOf(path), { bigint: true });
      return stats.isFile() ? infoOf(key, stats) : undefined;
    } catch (thrown) {
      if (isAbsent(thrown)) return undefined;
      throw fileError(`look at ${path}`, thrown);
    }
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    checkPrefix(prefix);
    const { root, onNotice } = this;
    try {
      await requireFolder(root.path);
      const { startAfter = "", withUnusable = false } = options;
      yield* listFiles({ root, prefix, startAfter, withUnusable, onNotice });
    } catch (thrown) {
      throw fileError(`list ${root.pathOf(prefix)}`, thrown);
    }
  }

  async delete(keys: readonly string[]): Promise<void> {
    keys.forEach(checkKey);
    for (const key of keys) {
      const path = this.root.pathOf(key);
      try {
        await this.root.realPathOf(dirname(path));
        await unlinkIfThere(path);
      } catch (thrown) {
        if (!isAbsent(thrown)) throw fileError(`remove ${path}`, thrown);
      }
    }
  }

  async sweep(remove: boolean): Promise<{ readonly objects: number; readonly sizeBytes: number }> {
    const swept = { objects: 0, sizeBytes: 0 };
    try {
      for await (const folder of foldersBelow(this.root.path)) {
        for (const path of await deadPartials(folder)) {
          const stats = await stat(path).catch(() => undefined);
          if (stats === undefined) continue;
          swept.objects += 1;
          swept.sizeBytes += stats.size;
          if (remove) await unlinkIfThere(path);
        }
      }
    } catch (thrown) {
      throw fileError(`sweep ${this.root.path}`, thrown);
    }
    return swept;
  }

  close(): void {}

  /** Removes what killed writers left in a folder. The write itself continues if that fails. */
  private async sweepFolder(folder: string): Promise<void> {
    if (this.swept.has(folder)) return;
    this.swept.add(folder);
    try {
      for (const path of await deadPartials(folder)) await unlinkIfThere(path);
    } catch (thrown) {
      this.onNotice(`${fileError(`sweep ${folder}`, thrown).message}. Unfinished files may stay there`);
    }
  }

  private async publish(partial: string, path: string, ifAbsent: boolean): Promise<"written" | "exists"> {
    if (!ifAbsent) {
      await rename(partial, path);
    } else if ((await this.linkIfAbsent(partial, path)) === "exists") {
      return "exists";
    }
    await flushFolder(dirname(path));
    return "written";
  }

  private async linkIfAbsent(partial: string, path: string): Promise<"written" | "exists"> {
    try {
      await link(partial, path);
      return "written";
    } catch (thrown) {
      if (systemCode(thrown) === "EEXIST") {
        await refuseFolder(path);
        return "exists";
      }
      if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(systemCode(thrown) ?? "")) throw thrown;
    }
    if (!this.saidNoLinks) {
      this.saidNoLinks = true;
      this.onNotice(`${this.url} has no hard links: "write if absent" looks before it writes`);
    }
    const there = await stat(path).catch((thrown: unknown) => {
      if (isAbsent(thrown)) return undefined;
      throw thrown;
    });
    if (there !== undefined) return "exists";
    await rename(partial, path);
    return "written";
  }
}

async function linkNew(real: string, path: string): Promise<"written" | "exists"> {
  try {
    await link(real, path);
    return "written";
  } catch (thrown) {
    if (systemCode(thrown) !== "EEXIST") throw thrown;
    await refuseFolder(path);
    return "exists";
  }
}

async function refuseFolder(path: string): Promise<void> {
  const stats = await stat(path);
  if (stats.isDirectory()) throw Object.assign(new Error(`${path} is a folder`), { code: "EISDIR" });
}

async function requireFolder(path: string): Promise<void> {
  const stats = await stat(path).catch((thrown: unknown) => {
    if (systemCode(thrown) === "ENOENT")
      throw new TrommelError("not-found", `cannot list ${path}: there is no such folder. Check the path`);
    throw fileError(`open the folder ${path}`, thrown);
  });
  if (stats.isDirectory()) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot list ${path}: it is a file. Give the folder that holds it`,
  );
}

/**
 * The size is that of the open file: the name may belong to another file by now.
 * @param check throws where the open file is not the wanted one; asked before the first byte and after the last
 */
async function readBytes(
  path: string,
  range: ByteRange | undefined,
  check: (stats: BigIntStats) => void,
): Promise<Uint8Array> {
  const file = await open(path, "r");
  try {
    const stats = await file.stat({ bigint: true });
    check(stats);
    const { offset, length: sizeBytes } = range ?? { offset: 0, length: Number(stats.size) };
    const bytes = new Uint8Array(sizeBytes);
    let filled = 0;
    while (filled < sizeBytes) {
      const { bytesRead } = await file.read(bytes, filled, sizeBytes - filled, offset + filled);
      if (bytesRead === 0) throw changedWhileRead(path, sizeBytes, filled);
      filled += bytesRead;
    }
    check(await file.stat({ bigint: true }));
    return bytes;
  } finally {
    await file.close();
  }
}

function changedWhileRead(path: string, sizeBytes: number, filled: number): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot read ${path}: it had ${sizeBytes} bytes and ended after ${filled}. Somebody is rewriting it: try again`,
    { retryable: true },
  );
}

type Body = Uint8Array | AsyncIterable<Uint8Array>;

async function writeFlushed(path: string, body: Body): Promise<void> {
  const file = await open(path, "wx");
  try {
    // From where the last one ended.
    if (body instanceof Uint8Array) await file.writeFile(body);
    else for await (const chunk of body) await file.writeFile(chunk);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes a rename last through a power cut; file systems that cannot flush a folder do without. */
async function flushFolder(path: string): Promise<void> {
  let folder: FileHandle | undefined;
  try {
    folder = await open(path, "r");
    await folder.sync();
  } catch (thrown) {
    if (!["EINVAL", "EPERM", "EACCES", "EISDIR", "ENOTSUP", "ENOSYS"].includes(systemCode(thrown) ?? ""))
      throw thrown;
  } finally {
    await folder?.close();
  }
}

/** A folder of that name is no object, so it stays. */
async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (thrown) {
    if (isAbsent(thrown) || systemCode(thrown) === "EISDIR") return;
    throw thrown;
  }
}
