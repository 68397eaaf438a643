import type { IncomingMessage } from "node:http";
import type { TrommelError } from "../../errors.js";

/** An answer that is no success, in the form in which `S3Retries` knows those of the AWS SDK. */
export class HttpFailure extends Error {
  readonly $metadata: { readonly httpStatusCode: number };
  readonly $response: { readonly headers: Readonly<Record<string, string | undefined>> };

  constructor(
    readonly status: number,
    headers: IncomingMessage["headers"],
  ) {
    super(`the server answers with status ${status}`);
    this.name = `HTTP ${status}`;
    this.$metadata = { httpStatusCode: status };
    this.$response = { headers: { "retry-after": headers["retry-after"] } };
  }
}

/** What changes when the content changes, as far as the server says. */
export function etagOf({ headers }: IncomingMessage): string {
  return (headers.etag ?? headers["last-modified"] ?? "").replace(/^"|"$/g, "");
}

const contentEtagForm = /^content-sha256-[0-9a-f]{64}$/;

/** The hash of an object's bytes as its etag, in a form that no server's own etag has. */
export function contentEtag(sha256: string): string {
  return `content-sha256-${sha256}`;
}

export function isContentEtag(etag: string): boolean {
  return contentEtagForm.test(etag);
}

export async function readBody(
  answer: IncomingMessage,
  maxBytes: number,
  tooLong: () => TrommelError,
): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) throw tooLong();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
