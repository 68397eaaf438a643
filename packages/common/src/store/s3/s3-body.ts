import type { GetObjectCommandOutput, S3Client } from "@aws-sdk/client-s3";
import { TrommelError } from "../../errors.js";
import type { ByteRange, GetOptions } from "../object-store.js";
import { objectBytesAtMost } from "../read-bounds.js";
import { OtherObject, TooLong } from "./s3-failure.js";
import { hasChecksum, type EtagCheck } from "./s3-etag.js";
import type { S3Retries } from "./s3-retry.js";
import { s3Sdk } from "./s3-sdk.js";

/**
 * Reads an object's body, and holds it against its stated length and against the checksum or MD5 that came with it. What
 * breaks off half way or was changed on the way is asked for again, as often as a request that failed.
 */

export interface ObjectAddress {
  readonly bucket: string;
  readonly key: string;
  /** What errors call it. */
  readonly name: string;
}

export interface ReadingClient {
  readonly client: S3Client;
  readonly retries: S3Retries;
  readonly etags: EtagCheck;
}

/**
 * @throws TooLong above `maxBytes`; OtherObject where the etag differs; TrommelError `corrupt` (retryable) where each
 *   try gave another length or hash than was stated; SDK and socket errors unchanged
 */
export async function readObject(
  { client, retries, etags }: ReadingClient,
  { bucket, key, name }: ObjectAddress,
  options: GetOptions,
): Promise<Uint8Array> {
  const { GetObjectCommand } = s3Sdk();
  const { signal, range } = options;
  const fits = etags.ofOneObject();
  const sdkCompares = (await client.config.responseChecksumValidation()) === "WHEN_SUPPORTED";
  const readOnce = async (): Promise<Uint8Array> => {
    // Not If-Match: many servers ignore it, and every one of them names the etag of the body that it sends.
    const command = new GetObjectCommand({ Bucket: bucket, Key: key, ...rangeHeader(range) });
    const answer = await client.send(command, signal === undefined ? {} : { abortSignal: signal });
    const bytes = await readAnswer(answer, options, name);
    // A checksum or an MD5 is of the whole object.
    if (range !== undefined || (sdkCompares && hasChecksum(answer)) || fits(answer, bytes)) return bytes;
    throw wrongHash(name, bareEtag(answer.ETag));
  };
  return retries.run(readOnce, signal, false);
}

async function readAnswer(
  { Body, ContentLength: statedBytes, ContentRange, ETag }: GetObjectCommandOutput,
  { maxBytes = objectBytesAtMost, etag, signal, range }: GetOptions,
  name: string,
): Promise<Uint8Array> {
  // In Node the body is an IncomingMessage, or a stream that checks the checksum on the way.
  const body = Body as (AsyncIterable<Uint8Array> & { destroy(reason?: Error): void }) | undefined;
  const found = bareEtag(ETag);
  if (etag && found && etag !== found) {
    body?.destroy();
    throw new OtherObject(etag, found);
  }
  if (body === undefined) return new Uint8Array(0);
  // The SDK listens to the signal only until the answer begins.
  const giveUp = () => body.destroy(new Error("given up"));
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    if (signal?.aborted) giveUp();
    if (range !== undefined) requireRange(range, statedBytes, ContentRange, name);
    if (statedBytes === undefined) return await readUnstatedBody(body, maxBytes);
    if (statedBytes > maxBytes) throw new TooLong(statedBytes);
    return await readStatedBody(body, statedBytes, name);
  } catch (thrown) {
    body.destroy();
    throw thrown;
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
}

function rangeHeader(range: ByteRange | undefined): { Range?: string } {
  return range === undefined ? {} : { Range: `bytes=${range.offset}-${range.offset + range.length - 1}` };
}

/** @throws TrommelError `unsupported` where the server ignores ranges, `corrupt` where it gives fewer bytes */
function requireRange(
  { offset, length }: ByteRange,
  statedBytes: number | undefined,
  stated: string | undefined,
  name: string,
): void {
  if (stated?.startsWith(`bytes ${offset}-`) !== true)
    throw new TrommelError(
      "unsupported",
      `cannot read bytes ${offset} to ${offset + length - 1} of ${name}: the server does not give a range of an object. Unpack the archive, or use another server`,
    );
  if (statedBytes !== length) throw wrongLength(name, length, `only ${statedBytes ?? "some"} of them`);
}

/** Reads a body into one array of the stated length. */
async function readStatedBody(
  body: AsyncIterable<Uint8Array>,
  statedBytes: number,
  name: string,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(statedBytes);
  let filled = 0;
  for await (const chunk of body) {
    if (filled + chunk.byteLength > statedBytes) throw wrongLength(name, statedBytes, "more");
    bytes.set(chunk, filled);
    filled += chunk.byteLength;
  }
  if (filled < statedBytes) throw wrongLength(name, statedBytes, `only ${filled}`);
  return bytes;
}

/** Reads a body whose length the server did not state; stops as soon as it passes `maxBytes`. */
async function readUnstatedBody(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of body) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maxBytes) throw new TooLong(sizeBytes);
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(sizeBytes);
  let filled = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, filled);
    filled += chunk.byteLength;
  }
  return bytes;
}

/** An etag as listings and headers have it, without its quotes; empty if the answer has no etag. */
export function bareEtag(etag: string | undefined): string {
  return (etag ?? "").replace(/^"|"$/g, "");
}

function wrongHash(name: string, etag: string): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot read ${name}: each time the body came with another MD5 than the server states (${etag}). ` +
      `Try again, and look for what changes it on the way`,
    { retryable: true },
  );
}

function wrongLength(name: string, statedBytes: number, got: string): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot read ${name}: the server stated ${statedBytes} bytes and sent ${got}. Try again`,
    { retryable: true },
  );
}
