import { FileStore } from "./file/file-store.js";
import { parseLocation } from "./location.js";
import type { ObjectStore } from "./object-store.js";
import { configureS3, type S3Options } from "./s3/s3-client.js";
import { S3Store } from "./s3/s3-store.js";

export interface OpenStoreOptions {
  /**
   * Called once per store for each thing that the server lacks, with what replaces it, and once per listed
   * file or key that is left out because no key can name it. @default silence
   */
  readonly onNotice?: (notice: string) => void;
  readonly s3?: S3Options;
}

/**
 * Opens `s3://bucket/prefix`, `file:///folder`, or a path (taken from the working folder). Nothing is read or made
 * yet: a folder or bucket that is not there shows at the first call.
 * @throws TrommelError `invalid-argument` for anything else, naming the legal forms
 */
export function openStore(location: string, options: OpenStoreOptions = {}): ObjectStore {
  const parsed = parseLocation(location);
  const onNotice = options.onNotice ?? (() => {});
  return parsed.kind === "file"
    ? new FileStore(parsed, onNotice)
    : new S3Store(parsed, configureS3(parsed.bucket, options.s3), onNotice);
}
