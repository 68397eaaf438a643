import type { CompletedPart, S3Client } from "@aws-sdk/client-s3";
import { TrommelError } from "../../errors.js";
import { failureOf } from "./s3-failure.js";
import { md5Base64 } from "./s3-etag.js";
import type { S3Retries } from "./s3-retry.js";
import { s3Sdk } from "./s3-sdk.js";

/**
 * An object whose length is not known when its writing begins: a multipart upload of whole arrays, so that no server needs
 * chunked bodies. Nobody sees it before it is complete. One that fails is aborted; a writer that is killed leaves an
 * unfinished upload, which a bucket's lifecycle rule (AbortIncompleteMultipartUpload) removes.
 */

/** What is held at a time. Every server takes parts from 5 MiB on. */
export const partBytes = 8 * 1024 * 1024;
/** The limit of every server. */
const partsAtMost = 10_000;

export interface UploadTarget {
  readonly client: S3Client;
  readonly retries: S3Retries;
  readonly bucket: string;
  readonly key: string;
  readonly contentType: string;
}

/** @param pieces of {@link partBytes} each but for the last one */
export async function uploadInParts(target: UploadTarget, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const { AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CreateMultipartUploadCommand } =
    s3Sdk();
  const { client, retries, bucket: Bucket, key: Key, contentType: ContentType } = target;
  const created = await retries.run(() =>
    client.send(new CreateMultipartUploadCommand({ Bucket, Key, ContentType })),
  );
  const address = { Bucket, Key, UploadId: created.UploadId };
  try {
    const parts: CompletedPart[] = [];
    for await (const piece of pieces) {
      if (parts.length === partsAtMost) throw tooMany(Key);
      parts.push(await uploadPart(target, address, parts.length + 1, piece));
    }
    const whole = { ...address, MultipartUpload: { Parts: parts } };
    await retries.run(async (tries) => {
      await client.send(new CompleteMultipartUploadCommand(whole)).catch((thrown: unknown) => {
        // An earlier try did it, and its answer was lost: nobody else has this upload.
        if (tries === 1 || failureOf(thrown).name !== "NoSuchUpload") throw thrown;
      });
    });
  } catch (thrown) {
    // What counts is why it failed.
    await client.send(new AbortMultipartUploadCommand(address)).catch(() => undefined);
    throw thrown;
  }
}

async function uploadPart(
  { client, retries }: UploadTarget,
  address: { readonly Bucket: string; readonly Key: string; readonly UploadId: string | undefined },
  PartNumber: number,
  Body: Uint8Array,
): Promise<CompletedPart> {
  const { UploadPartCommand } = s3Sdk();
  const sdkAdds = (await client.config.requestChecksumCalculation()) === "WHEN_SUPPORTED";
  const checksum = sdkAdds ? {} : { ContentMD5: md5Base64(Body) };
  const ContentLength = Body.byteLength;
  const { ETag, ChecksumCRC32 } = await retries.run(() =>
    client.send(new UploadPartCommand({ ...address, PartNumber, Body, ContentLength, ...checksum })),
  );
  return { PartNumber, ETag, ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }) };
}

/** Puts chunks of any sizes together to pieces of one size; the last one may be shorter. */
export async function* inPieces(
  chunks: AsyncIterable<Uint8Array>,
  pieceBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let piece = new Uint8Array(pieceBytes);
  let filled = 0;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.byteLength;) {
      const taken = chunk.subarray(at, at + pieceBytes - filled);
      piece.set(taken, filled);
      at += taken.byteLength;
      filled += taken.byteLength;
      if (filled < pieceBytes) continue;
      yield piece;
      piece = new Uint8Array(pieceBytes);
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

function tooMany(key: string): TrommelError {
  return new TrommelError(
    "too-large",
    `cannot write ${key}: it has more than ${partsAtMost} parts of ${partBytes} bytes`,
    { context: { key } },
  );
}
