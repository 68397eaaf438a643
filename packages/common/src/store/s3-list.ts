import { ListObjectsV2Command, type ListObjectsV2CommandOutput, type S3Client } from "@aws-sdk/client-s3";
import { TrommelError } from "../errors.js";
import { compareKeys, whyIllegalKey } from "./key.js";
import type { ObjectInfo } from "./object-store.js";
import { bareEtag } from "./s3-body.js";

/** Pages of ListObjectsV2 as one stream; one page of at most 1000 keys is held at a time. */
export interface BucketListing {
  readonly client: S3Client;
  readonly bucket: string;
  /** What every key of the store begins with: empty, or ending in `/`. It is cut off the keys. */
  readonly keyRoot: string;
  readonly prefix: string;
  readonly startAfter: string;
  readonly onNotice: (notice: string) => void;
}

/**
 * @throws TrommelError `unsupported` where the server lists out of order or repeats a page (S3 Express directory
 *   buckets do not sort), because shards are cut from the order; SDK errors pass unchanged
 */
export async function* listBucket(listing: BucketListing): AsyncGenerator<ObjectInfo> {
  let last: string | undefined;
  for await (const page of pages(listing)) {
    for (const { Key, Size, ETag } of page.Contents ?? []) {
      if (Key === undefined) continue;
      const whole = page.EncodingType === "url" ? decodeListedKey(Key) : Key;
      if (last !== undefined && compareKeys(whole, last) <= 0) throw outOfOrder(listing.bucket, last, whole);
      last = whole;
      const key = whole.slice(listing.keyRoot.length);
      // Consoles make such empty objects to show a folder; they are no files.
      if (key === "" || key.endsWith("/")) continue;
      const reason = whyIllegalKey(key);
      if (reason === undefined) yield { key, sizeBytes: Size ?? 0, etag: bareEtag(ETag) };
      else listing.onNotice(`left out of the listing: the key ${JSON.stringify(whole)}, because ${reason}`);
    }
  }
}

/**
 * Keys are asked for URL-encoded, because XML cannot carry every character; S3 writes a space as `+` and a plus as
 * `%2B` (as in HTML forms).
 */
export function decodeListedKey(encoded: string): string {
  return decodeURIComponent(encoded.replaceAll("+", " "));
}

async function* pages(listing: BucketListing): AsyncGenerator<ListObjectsV2CommandOutput> {
  const { client, bucket, keyRoot } = listing;
  let token: string | undefined;
  for (;;) {
    const page: ListObjectsV2CommandOutput = await client.send(
      new ListObjectsV2Command({
        Bucket: bucket,
        EncodingType: "url",
        Prefix: keyRoot + listing.prefix,
        ...(listing.startAfter === "" ? {} : { StartAfter: keyRoot + listing.startAfter }),
        ...(token === undefined ? {} : { ContinuationToken: token }),
      }),
    );
    yield page;
    if (page.IsTruncated !== true) return;
    if (page.NextContinuationToken === undefined || page.NextContinuationToken === token) {
      throw new TrommelError(
        "unsupported",
        `failed to list bucket '${bucket}': the server says there is more and does not say where. ` +
          `Use a server that pages ListObjectsV2`,
      );
    }
    token = page.NextContinuationToken;
  }
}

function outOfOrder(bucket: string, last: string, key: string): TrommelError {
  return new TrommelError(
    "unsupported",
    `failed to list bucket '${bucket}': the server lists ${JSON.stringify(key)} after ${JSON.stringify(last)}, ` +
      `which is not the order of their bytes. Use a general-purpose bucket on a server that sorts`,
    { context: { bucket, key, after: last } },
  );
}
