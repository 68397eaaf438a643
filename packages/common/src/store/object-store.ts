/**
 * The one interface of durable storage. `file:` folders and S3-compatible buckets implement it, and one
 * contract test (test/contract/) holds both to it.
 *
 * A key is relative to the store's root, uses `/`, is valid Unicode without NUL and backslash, is not absolute, and has
 * no empty, `.` or `..` segment, nor one that begins as unfinished writes do; anything else is refused with
 * `invalid-argument`. A folder cannot hold both `a` and `a/b`: whichever is put second meets `conflict`.
 *
 * Every call may also throw `forbidden`, `unavailable` (retryable: the server does not answer, or with 5xx) and
 * `store-full` (no space), `exhausted` (no file handles). A bucket that does not exist is `not-found` in every call.
 */
export interface ObjectStore {
  /** The root as a person writes it, without credentials: `file:///data/x` or `s3://bucket/prefix`. */
  readonly url: string;

  /**
   * The whole object.
   * @throws TrommelError `not-found`; `too-large` above `maxBytes` (decided before the body is read where the server
   *   states the size); `changed` where it is not the object with `etag`; `corrupt`, retryable, where fewer bytes came than were promised; `cancelled`, or the signal's
   *   reason where that is a TrommelError, once `signal` is aborted
   */
  get(key: string, options?: GetOptions): Promise<Uint8Array>;

  /**
   * Writes the whole object so that a reader sees all of it or none of it.
   * With `ifAbsent` an existing object is left as it is and the result is `exists`. Servers without
   * conditional writes fall back to a look before the write.
   */
  put(key: string, body: Uint8Array, options?: PutOptions): Promise<"written" | "exists">;

  /**
   * Writes an object whose length is not known before, holding 8 MiB of it at a time. A reader sees all of it or none.
   * What the chunks throw is thrown, and nothing is written then.
   */
  putStream(
    key: string,
    chunks: AsyncIterable<Uint8Array>,
    options?: Pick<PutOptions, "contentType">,
  ): Promise<void>;

  /**
   * Puts an object of another store here without reading it, where the two can: a bucket's server copies within itself, a folder
   * copies or links files. What is there under that key already is left as it is.
   * @param as its key here
   * @returns `elsewhere` where these two stores cannot; nothing was done then
   * @throws TrommelError `not-found`; `changed` where it is not the object with `etag`
   */
  copyFrom(
    from: ObjectStore,
    key: string,
    as: string,
    options?: CopyOptions,
  ): Promise<"written" | "exists" | "elsewhere">;

  /**
   * Whether the server itself refuses a conditional write under a key that exists; an object that is there may be written again.
   * Absent in stores that always do.
   */
  readonly refusesOverwrite?: (key: string, body: Uint8Array) => Promise<boolean>;

  /** Size and etag, or `undefined` where there is no such object. */
  head(key: string): Promise<ObjectInfo | undefined>;

  /**
   * Reads an object for its size, and for the hash of its bytes in place of the etag that its server does not give; `get` compares the
   * bytes with it. Absent in stores whose objects all have etags.
   * @throws TrommelError `not-found`
   */
  readonly headByContent?: (key: string) => Promise<ObjectInfo>;

  /**
   * The objects whose key begins with `prefix`, in ascending order of the key's UTF-8 bytes, as a stream that holds
   * one page of a bucket, or the names of one folder on each level, at a time. Unfinished writes never appear, nor do
   * the empty `folder/` objects of S3 consoles. What no call can read (see `UnusableReason`) is left out with a
   * notice, or listed in its place with `withUnusable`, without which a folder that may not be read is an error; nothing behind a link that is not followed is looked at.
   * @throws TrommelError `not-found` where the store's folder does not exist; `unsupported` where a server lists in
   *   another order
   */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo>;

  /** Removes the objects; those that are not there count as removed. */
  delete(keys: readonly string[]): Promise<void>;

  /**
   * What killed writers left behind in a folder, which no listing shows: partial files. A bucket has a lifecycle rule for
   * its unfinished uploads.
   * @param remove whether it is removed as well
   */
  sweep(remove: boolean): Promise<{ readonly objects: number; readonly sizeBytes: number }>;

  /** Releases sockets. Nothing may be called afterwards. */
  close(): void;
}

export interface ObjectInfo {
  readonly key: string;
  readonly sizeBytes: number;
  /** Changes when the content changes. Opaque: an MD5 on many S3 servers, size and mtime on `file:`. */
  readonly etag: string;
  /** When it was written, by the store's clock: whole seconds since 1970. Absent where the server does not say. */
  readonly modifiedSeconds?: number;
  /**
   * Only in a listing that asks for them: its size and etag mean nothing then. Its key is the one that it has; of a file's
   * name `\\` replaces each backslash and `\xHH` each byte that is not UTF-8, so that no two names are one key.
   */
  readonly unusable?: UnusableReason;
}

/** Why something that lies under a prefix is no object of the store. */
export type UnusableReason =
  /** Its name is no legal key. */
  | "illegal-key"
  /** A pipe, a socket, a device, or a link to one or to nothing. */
  | "not-a-file"
  /** A symbolic link out of the store's folder. */
  | "outside-the-folder"
  /** A symbolic link to itself, or to a folder above it. */
  | "circular-link"
  /**
   * A folder that this user may not read; its key ends in `/`, and nothing in it is listed. Also what lies in a folder that
   * may be read and not entered, and a link into one.
   */
  | "forbidden-folder";

/** Some bytes of an object: at least one. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

export interface GetOptions {
  /** As `list` or `head` gave it: the object must be that one, from the first byte to the last. @default any */
  readonly etag?: string;
  /** @default 4 GiB, the largest object that is read whole; see `read-bounds.ts` for our own artefacts */
  readonly maxBytes?: number;
  /** Only these bytes of the object, all of them: an object that ends before is `corrupt`. @default the whole object */
  readonly range?: ByteRange;
  readonly signal?: AbortSignal;
}

export interface CopyOptions {
  /** As `list` or `head` gave it. @default any */
  readonly etag?: string;
  /** A second name of the same file instead of a copy; buckets have none. @default false */
  readonly link?: boolean;
}

export interface PutOptions {
  /** @default false */
  readonly ifAbsent?: boolean;
  /** @default "application/octet-stream" */
  readonly contentType?: string;
}

export interface ListOptions {
  /** Only keys after this one, in the listing's order. */
  readonly startAfter?: string;
  /** Lists what cannot be read, too, marked as {@link ObjectInfo.unusable}. @default false */
  readonly withUnusable?: boolean;
}
