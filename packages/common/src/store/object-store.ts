/**
 * The one interface of durable storage. `file:` folders and S3-compatible buckets implement it, and one
 * contract test (test/contract/) holds both to it.
 *
 * A key is relative to the store's root, uses `/`, is valid Unicode without NUL, is not absolute, and has no empty, `.`
 * or `..` segment; anything else is refused with `invalid-argument`.
 */
export interface ObjectStore {
  /** The root as a person writes it, without credentials: `file:///data/x` or `s3://bucket/prefix`. */
  readonly url: string;

  /**
   * The whole object.
   * @throws TrommelError `not-found`, `forbidden`, `unavailable`, `timed-out`, or `too-large` above `maxBytes`
   *   (decided before the body is read where the server states the size).
   */
  get(key: string, options?: GetOptions): Promise<Uint8Array>;

  /**
   * Writes the whole object so that a reader sees all of it or none of it.
   * With `ifAbsent` an existing object is left as it is and the result is `exists`. Servers without
   * conditional writes fall back to a look before the write.
   */
  put(key: string, body: Uint8Array, options?: PutOptions): Promise<"written" | "exists">;

  /** Size and etag, or `undefined` where there is no such object. */
  head(key: string): Promise<ObjectInfo | undefined>;

  /**
   * The objects whose key begins with `prefix`, in ascending order of the key's UTF-8 bytes, as a stream:
   * memory does not grow with their number. Temporary files of unfinished writes never appear.
   */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo>;

  /** Removes the objects; those that are not there count as removed. */
  delete(keys: readonly string[]): Promise<void>;

  /** Releases sockets. Nothing may be called afterwards. */
  close(): void;
}

export interface ObjectInfo {
  readonly key: string;
  readonly sizeBytes: number;
  /** Changes when the content changes. Opaque: an MD5 on many S3 servers, size and mtime on `file:`. */
  readonly etag: string;
}

export interface GetOptions {
  /** @default no bound */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
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
}
