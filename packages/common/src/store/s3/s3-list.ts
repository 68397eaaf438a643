import type { ListObjectsV2CommandOutput, S3Client } from "@aws-sdk/client-s3";
import { TrommelError } from "../../errors.js";
import { compareKeys, whyIllegalKey } from "../key.js";
import type { ObjectInfo } from "../object-store.js";
import { bareEtag } from "./s3-body.js";
import type { S3Retries } from "./s3-retry.js";
import { s3Sdk } from "./s3-sdk.js";

/** Pages of ListObjectsV2 as one stream; two pages of at most 1000 keys are held at a time. */
export interface BucketListing {
  readonly client: S3Client;
  readonly retries: S3Retries;
  readonly bucket: string;
  /** What every key of the store begins with: empty, or ending in `/`. It is cut off the keys. */
  readonly keyRoot: string;
  readonly prefix: string;
  readonly startAfter: string;
  readonly withUnusable: boolean;
  readonly onNotice: (notice: string) => void;
}

/**
 * @throws TrommelError `unsupported` where the server lists out of order or repeats a page (S3 Express directory
 *   buckets do not sort), because shards are cut from the order; `corrupt`, retryable, where a page never came whole;
 *   SDK errors pass unchanged
 */
export async function* listBucket(listing: BucketListing): AsyncGenerator<ObjectInfo> {
  let last: string | undefined;
  for await (const page of pages(listing)) {
    const half = page.objects.length >> 1;
    for (const [at, { key: whole, ...rest }] of page.objects.entries()) {
      // Not at its start: who asks for a few keys waits for one page alone.
      if (at === half) page.askForNext();
      if (last !== undefined && compareKeys(whole, last) <= 0) throw outOfOrder(listing.bucket, last, whole);
      last = whole;
      const key = whole.slice(listing.keyRoot.length);
      // Consoles make such empty objects to show a folder; they are no files.
      if (key === "" || (key.endsWith("/") && rest.sizeBytes === 0)) continue;
      const reason = whyIllegalKey(key);
      if (reason === undefined) yield { key, ...rest };
      else if (listing.withUnusable) yield { key, ...rest, unusable: "illegal-key" };
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

interface PageAhead extends Page {
  /** Asks for the page after it, which is on its way while this one is worked on. */
  readonly askForNext: () => void;
}

interface Page {
  readonly objects: readonly ObjectInfo[];
  /** The start of the next page; undefined on the last. */
  readonly next: string | undefined;
}

/** A caller that stops reading waits for the request in progress. */
async function* pages(listing: BucketListing): AsyncGenerator<PageAhead> {
  let token: string | undefined;
  let coming: Promise<Page> | undefined;
  try {
    do {
      const page = await (coming ?? askForPage(listing, token));
      coming = undefined;
      const { next } = page;
      const repeats = next !== undefined && next === token;
      const askForNext = (): void => {
        if (next === undefined || repeats || coming !== undefined) return;
        coming = askForPage(listing, next);
        // Until its turn comes its failure is not unhandled.
        coming.catch(() => undefined);
      };
      yield { ...page, askForNext };
      if (repeats) throw endless(listing.bucket);
      token = next;
    } while (token !== undefined);
  } finally {
    await Promise.allSettled([coming]);
  }
}

async function askForPage(listing: BucketListing, token: string | undefined): Promise<Page> {
  const { ListObjectsV2Command } = s3Sdk();
  const { client, retries, bucket, keyRoot } = listing;
  return await retries.run(async () =>
    toPage(
      bucket,
      await client.send(
        new ListObjectsV2Command({
          Bucket: bucket,
          EncodingType: "url",
          Prefix: keyRoot + listing.prefix,
          ...(listing.startAfter === "" ? {} : { StartAfter: keyRoot + listing.startAfter }),
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
      ),
    ),
  );
}

/**
 * A page that is whole. The XML reader takes a document that ends half way for a shorter one, and a listing that is
 * taken for complete too early loses files; so a page must say whether more follow, and have as many keys as it counts.
 */
function toPage(bucket: string, answer: ListObjectsV2CommandOutput): Page {
  const { Contents = [], EncodingType, IsTruncated, KeyCount, NextContinuationToken } = answer;
  if (IsTruncated === undefined) throw notWhole(bucket, "does not say whether more follow");
  if (KeyCount !== undefined && Contents.length < KeyCount)
    throw notWhole(bucket, `counts ${KeyCount} keys and has ${Contents.length}`);
  const objects = Contents.map(({ Key, Size, ETag, LastModified }) => {
    if (Key === undefined || Size === undefined) throw notWhole(bucket, "has an object without key or size");
    const key = keyOf(bucket, Key, EncodingType === "url");
    return { key, sizeBytes: Size, etag: bareEtag(ETag), ...writtenAt(LastModified) };
  });
  if (!IsTruncated) return { objects, next: undefined };
  if (NextContinuationToken === undefined) throw endless(bucket);
  return { objects, next: NextContinuationToken };
}

/** Headers have whole seconds, listings a fraction too. */
export function writtenAt(lastModified: Date | undefined): Pick<ObjectInfo, "modifiedSeconds"> {
  const ms = lastModified?.getTime() ?? Number.NaN;
  return Number.isNaN(ms) ? {} : { modifiedSeconds: Math.floor(ms / 1000) };
}

function keyOf(bucket: string, text: string, isEncoded: boolean): string {
  if (!isEncoded) return text;
  try {
    return decodeListedKey(text);
  } catch {
    throw notWhole(bucket, `has the key ${JSON.stringify(text)}, which is not URL-encoded`);
  }
}

function notWhole(bucket: string, why: string): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot list bucket '${bucket}': each time a page of the listing ${why}. ` +
      `Try again, and look for what cuts answers short on the way`,
    { retryable: true, context: { bucket } },
  );
}

function endless(bucket: string): TrommelError {
  return new TrommelError(
    "unsupported",
    `cannot list bucket '${bucket}': the server says there is more and does not say where. ` +
      `Use a server that pages ListObjectsV2`,
    { context: { bucket } },
  );
}

function outOfOrder(bucket: string, last: string, key: string): TrommelError {
  return new TrommelError(
    "unsupported",
    `cannot list bucket '${bucket}': the server lists ${JSON.stringify(key)} after ${JSON.stringify(last)}, ` +
      `which is not the order of their bytes. Use a general-purpose bucket on a server that sorts`,
    { context: { bucket, key, after: last } },
  );
}
