import { setTimeout } from "node:timers/promises";
import { GetObjectCommand, type GetObjectCommandOutput, type S3Client } from "@aws-sdk/client-s3";
import { TrommelError } from "../errors.js";
import type { GetOptions } from "./object-store.js";

/**
 * Reads an object's body. The SDK repeats a request whose answer never began; a body that breaks off half way is
 * past that, so it is asked for again here.
 */

const bodyAttempts = 3;
const bodyDelayMs = 100;

export interface ObjectAddress {
  readonly bucket: string;
  readonly key: string;
  /** What errors call it. */
  readonly name: string;
}

/**
 * @throws TooLong above `maxBytes`; OtherObject where the etag differs; TrommelError `corrupt` (retryable) where each try gave another length than was
 *   stated; SDK and socket errors unchanged
 */
export async function readObject(
  client: S3Client,
  { bucket, key, name }: ObjectAddress,
  options: GetOptions,
): Promise<Uint8Array> {
  for (let attempt = 1; ; attempt += 1) {
    // Not If-Match: many servers ignore it, and every one of them names the etag of the body that it sends.
    const command = new GetObjectCommand({ Bucket: bucket, Key: key });
    const answer = await client.send(
      command,
      options.signal === undefined ? {} : { abortSignal: options.signal },
    );
    try {
      return await readAnswer(answer, options, name);
    } catch (thrown) {
      const isFinal =
        thrown instanceof TooLong || thrown instanceof OtherObject || options.signal?.aborted === true;
      if (isFinal || attempt === bodyAttempts) throw thrown;
      await setTimeout(bodyDelayMs * 2 ** attempt);
    }
  }
}

async function readAnswer(
  { Body, ContentLength: statedBytes, ETag }: GetObjectCommandOutput,
  { maxBytes = Number.POSITIVE_INFINITY, etag, signal }: GetOptions,
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

/** Signals to the caller, who words the error, that a body passed its bound. */
export class TooLong extends Error {
  constructor(readonly sizeBytes: number) {
    super(`the body has ${sizeBytes} bytes or more`);
  }
}

/** Signals to the caller, who words the error, that the object is not the one with the etag that was asked for. */
export class OtherObject extends Error {
  constructor(
    readonly asked: string,
    readonly found: string,
  ) {
    super(`the object has the etag ${found}`);
  }
}

/** An etag as listings and headers have it, without its quotes; empty where there is none. */
export function bareEtag(etag: string | undefined): string {
  return (etag ?? "").replace(/^"|"$/g, "");
}

function wrongLength(name: string, statedBytes: number, got: string): TrommelError {
  return new TrommelError(
    "corrupt",
    `failed to read ${name}: the server stated ${statedBytes} bytes and sent ${got}. Try again`,
    { retryable: true },
  );
}
