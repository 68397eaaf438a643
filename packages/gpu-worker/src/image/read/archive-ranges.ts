import { messageOf, type ObjectStore, type ShardEntry } from "@trommel/common";
import { headOf } from "@trommel/common/store";
import { damagedArchive, gunzipped, unpack, type ByteSource } from "@trommel/common/archives";
import { unlessAborted } from "@trommel/common/waiting";

/** Ranges of one archive that lie so close are read at once. */
const gapBytesAtMost = 64 * 1024;
const spanBytesAtMost = 4 * 1024 * 1024;
/** Spans that are held, each until its last image is read. */
const spansAtMost = 6;

/** A part of an archive that holds pictures of a shard. */
interface Span {
  readonly key: string;
  offset: number;
  length: number;
  /** Pictures that are not read yet. */
  waiting: number;
  read?: Promise<Uint8Array> | undefined;
}

/**
 * Reads pictures out of archives. Those that are neighbours in a shard are read together, once; the spans that are held take some
 * 24 MiB a shard at most, and more only where one picture, or one page of a table, does.
 */
export class ArchiveRanges {
  readonly #spans = new Map<ShardEntry, Span>();
  readonly #held = new Set<Span>();
  readonly #gzips = new Map<string, { source: Promise<ByteSource>; turn: Promise<unknown> }>();

  constructor(entries: readonly ShardEntry[]) {
    let last: Span | undefined;
    for (const entry of entries) {
      const { at } = entry;
      if (at?.range === undefined || at.form === "gzip") continue;
      const [offset, length] = at.range;
      const canJoin = typeof at.form !== "object" || !("page" in at.form);
      last = joined(last, at.object, offset, length, canJoin) ?? {
        key: at.object,
        offset,
        length,
        waiting: 0,
      };
      last.waiting += 1;
      this.#spans.set(entry, last);
    }
  }

  /**
   * @param key of the archive in its store
   * @throws TrommelError as ObjectStore.get and {@link unpack} do
   */
  async read(store: ObjectStore, key: string, entry: ShardEntry, signal: AbortSignal): Promise<Uint8Array> {
    const { at, sizeBytes, etag } = entry;
    if (at?.range === undefined) throw new Error("the entry is no part of an archive");
    if (sizeBytes === 0) return new Uint8Array();
    const [offset, length] = at.range;
    if (at.form === "gzip") return this.#fromGzip(store, key, entry, signal);
    const span = this.#spans.get(entry);
    if (span === undefined) {
      const range = { offset, length };
      return unpack(await store.get(key, { etag, range, maxBytes: length, signal }), at, sizeBytes);
    }
    this.#spans.delete(entry);
    // Others wait for it too, so that no one's signal ends it; a try that fails is followed by one of this picture alone.
    const bytes = await unlessAborted(signal, this.#fetch(store, key, span, etag));
    span.waiting -= 1;
    if (span.waiting === 0) this.#drop(span);
    // A page is decoded once for all of its pictures, which are known by its memory.
    const isWhole = span.offset === offset && span.length === length;
    return unpack(
      isWhole ? bytes : bytes.subarray(offset - span.offset, offset - span.offset + length),
      at,
      sizeBytes,
    );
  }

  close(): void {
    this.#held.clear();
    for (const { source } of this.#gzips.values())
      source.then(
        (of) => of.close(),
        () => undefined,
      );
    this.#gzips.clear();
  }

  #fetch(store: ObjectStore, key: string, span: Span, etag: string): Promise<Uint8Array> {
    if (span.read !== undefined) return span.read;
    const { offset, length } = span;
    const read = store.get(key, { etag, range: { offset, length }, maxBytes: length });
    span.read = read;
    read.catch(() => this.#drop(span));
    this.#held.add(span);
    for (const oldest of this.#held) {
      if (this.#held.size <= spansAtMost) break;
      this.#drop(oldest);
    }
    return read;
  }

  #drop(span: Span): void {
    span.read = undefined;
    this.#held.delete(span);
  }

  /** One after another, for the content of a gzipped archive is read from its beginning. */
  async #fromGzip(
    store: ObjectStore,
    key: string,
    entry: ShardEntry,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const { at, sizeBytes, etag } = entry;
    const offset = at?.range?.[0] ?? 0;
    // A retry looks up the object of each failed image: an archive that is replaced meanwhile has two etags in one shard.
    const name = `${etag} ${key}`;
    const opened = this.#gzips.get(name) ?? { source: openGzip(store, key, etag), turn: Promise.resolve() };
    this.#gzips.set(name, opened);
    opened.source.catch(() => {
      if (this.#gzips.get(name) === opened) this.#gzips.delete(name);
    });
    const read = opened.turn.then(async () => {
      const source = await opened.source;
      return Uint8Array.from(
        await source.bytes(offset, sizeBytes).catch((thrown: unknown) => {
          throw isOfZlib(thrown)
            ? damagedArchive({ object: key, offset }, messageOf(thrown), thrown)
            : thrown;
        }),
      );
    });
    opened.turn = read.catch(() => undefined);
    const bytes = await unlessAborted(signal, read);
    if (bytes.length === sizeBytes) return bytes;
    throw damagedArchive(
      { object: key, offset },
      `it ends after ${bytes.length} of the picture's ${sizeBytes} bytes`,
    );
  }
}

/** @throws TrommelError `not-found`; what is read of it is `changed` if it is not the archive with the etag */
async function openGzip(store: ObjectStore, key: string, etag: string): Promise<ByteSource> {
  return gunzipped(store, { ...(await headOf(store, key)), etag });
}

/** Its stream is damaged, or ends early. */
function isOfZlib(thrown: unknown): boolean {
  return thrown instanceof Error && "code" in thrown && String(thrown.code).startsWith("Z_");
}

/** Pages of a table are not joined: each is decoded once, as long as its memory is the same. */
function joined(
  last: Span | undefined,
  key: string,
  offset: number,
  length: number,
  canJoin: boolean,
): Span | undefined {
  if (last === undefined || last.key !== key) return undefined;
  if (last.offset === offset && last.length === length) return last;
  if (!canJoin) return undefined;
  const end = offset + length;
  const gap = offset - (last.offset + last.length);
  if (gap < 0 || gap > gapBytesAtMost || end - last.offset > spanBytesAtMost) return undefined;
  last.length = end - last.offset;
  return last;
}
