import type { IncomingMessage } from "node:http";
import { type BuildAppOptions, buildApp } from "fauxqs";
import { type KeyPair, whyRefused } from "./s3-signature.js";

/**
 * A real S3 server (the npm package `fauxqs`) on a free port of 127.0.0.1, with what S3 itself does and this package
 * does not: keys in byte order, URL-encoded listings, signatures, conditional writes, and bodies above 11 MiB.
 * Options make it behave as lesser servers do.
 */
export interface S3ServerOptions {
  /**
   * What a PUT with `If-None-Match: *` meets: S3's own behaviour, no notice of the header, or 501.
   * @default "honoured"
   */
  readonly conditionalWrites?: "honoured" | "ignored" | "refused";
  /** Whether DeleteObjects exists or answers 501. @default "honoured" */
  readonly deleteObjects?: "honoured" | "refused";
  /** Buckets that anybody may read and list, without a signature. A signed request is checked. @default none */
  readonly publicBuckets?: readonly string[];
  /** Buckets whose requests have to name the requester as their payer. @default none */
  readonly payingBuckets?: readonly string[];
  /** The MD5 (base64) of the customer's key that each object of a bucket is stored with. @default none */
  readonly customerKeys?: Readonly<Record<string, string>>;
}

export interface S3Server {
  readonly endpoint: string;
  /** The variables that lead the AWS SDK here. */
  readonly env: Readonly<Record<string, string>>;
  /** Every request so far, in order of arrival. */
  readonly requests: readonly RecordedRequest[];
  createBucket(name: string): void;
  /** Puts an object past the protocol, whatever its key. */
  putObject(bucket: string, key: string, body: Buffer): void;
  stop(): Promise<void>;
}

export interface RecordedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly status: number;
}

type S3Objects = NonNullable<BuildAppOptions["stores"]>["s3Store"];

const keys: KeyPair = { accessKeyId: "trommel-test-key", secretAccessKey: "trommel-test-secret" };

export async function startS3Server(options: S3ServerOptions = {}): Promise<S3Server> {
  const objects = await makeObjects();
  const stores = { s3Store: objects } as NonNullable<BuildAppOptions["stores"]>;
  const app = buildApp({ logger: false, stores });
  const requests: RecordedRequest[] = [];

  app.addHook("onRequest", async (request, reply) => {
    const { method, url, headers } = request.raw;
    reply.raw.once("close", () => {
      requests.push({ method: method ?? "", url: url ?? "", headers, status: reply.statusCode });
    });
    const refusal = isOpen(request.raw, options) ? undefined : whyRefused(request.raw, keys);
    const otherwise = refusal ?? whyNotPaid(request.raw, options);
    if (otherwise !== undefined) return reply.status(403).type("application/xml").send(errorXml(otherwise));
    if (hasOtherKey(request.raw, options))
      return reply.status(400).type("application/xml").send(errorXml("InvalidRequest"));
    const isConditional = method === "PUT" && headers["if-none-match"] === "*";
    const isDeleteObjects = method === "POST" && /[?&]delete/.test(url ?? "");
    if (
      (isConditional && options.conditionalWrites === "refused") ||
      (isDeleteObjects && options.deleteObjects === "refused")
    ) {
      request.raw.resume();
      return reply.status(501).type("application/xml").send(errorXml("NotImplemented"));
    }
    return takeLargeBody(request.raw, reply, objects);
  });

  // The look and the write that follows it run without a pause in between, so of two writers one wins.
  app.addHook("preHandler", (request, reply, done) => {
    const isConditional = request.method === "PUT" && request.headers["if-none-match"] === "*";
    const { bucket = "", "*": key = "" } = request.params as Record<string, string>;
    if (
      isConditional &&
      (options.conditionalWrites ?? "honoured") === "honoured" &&
      holds(objects, bucket, key)
    ) {
      reply.status(412).type("application/xml").send(errorXml("PreconditionFailed"));
      return;
    }
    done();
  });

  app.addHook("onSend", async (request, _reply, payload) => {
    const query = request.query as Record<string, string> | undefined;
    const isListing = typeof payload === "string" && payload.includes("<ListBucketResult");
    return isListing && query?.["encoding-type"] === "url" ? encodeListing(payload) : payload;
  });

  const endpoint = await app.listen({ port: 0, host: "127.0.0.1" });
  return {
    endpoint,
    env: {
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: keys.accessKeyId,
      AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
    },
    requests,
    createBucket: (name) => objects.createBucket(name),
    putObject: (bucket, key, body) => void objects.putObject(bucket, key, body, "image/png"),
    stop: () => app.close(),
  };
}

/** The package sorts a listing by locale and pages it by code units, and so loses keys: this one does neither. */
async function makeObjects(): Promise<S3Objects> {
  // The class is not among the package's exports; a file URL reaches it.
  const url = new URL("s3/s3Store.js", import.meta.resolve("fauxqs")).href;
  const { S3Store } = (await import(url)) as { S3Store: new () => S3Objects };
  const objects = new S3Store();
  const listUnordered = objects.listObjects.bind(objects);
  objects.listObjects = (bucket, { prefix = "", maxKeys = 1000, startAfter = "", marker = "" } = {}) => {
    const after = Buffer.from(startAfter || marker);
    const found = listUnordered(bucket, { prefix, maxKeys: Number.MAX_SAFE_INTEGER })
      .objects.map((object) => ({ object, bytes: Buffer.from(object.key) }))
      .filter(({ bytes }) => Buffer.compare(bytes, after) > 0)
      .sort((left, right) => Buffer.compare(left.bytes, right.bytes))
      .map(({ object }) => object);
    return { objects: found.slice(0, maxKeys), commonPrefixes: [], isTruncated: found.length > maxKeys };
  };
  const removeMany = objects.deleteObjects.bind(objects);
  // Its XML reader leaves numeric references (a line break is &#xA;) as they are.
  objects.deleteObjects = (bucket, keys) => removeMany(bucket, keys.map(unescapeNumericReferences));
  return objects;
}

function unescapeNumericReferences(text: string): string {
  return text.replace(/&#x([0-9a-f]+);/gi, (_all, hex: string) =>
    String.fromCodePoint(Number.parseInt(hex, 16)),
  );
}

function bucketOf({ url = "" }: IncomingMessage): string {
  return /^\/([^/?]*)/.exec(url)?.[1] ?? "";
}

function isOpen(request: IncomingMessage, { publicBuckets = [] }: S3ServerOptions): boolean {
  const reads = request.method === "GET" || request.method === "HEAD";
  return reads && request.headers.authorization === undefined && publicBuckets.includes(bucketOf(request));
}

function whyNotPaid(request: IncomingMessage, { payingBuckets = [] }: S3ServerOptions): string | undefined {
  const pays = request.headers["x-amz-request-payer"] === "requester";
  return pays || !payingBuckets.includes(bucketOf(request)) ? undefined : "AccessDenied";
}

/** As S3 refuses an object of a customer's key to whoever has another one or none. */
function hasOtherKey(request: IncomingMessage, { customerKeys = {} }: S3ServerOptions): boolean {
  const asked = customerKeys[bucketOf(request)];
  const isObject = /^\/[^/]+\/[^?]/.test(request.url ?? "");
  if (asked === undefined || !isObject || request.method === "DELETE") return false;
  return request.headers["x-amz-server-side-encryption-customer-key-md5"] !== asked;
}

function holds(objects: S3Objects, bucket: string, key: string): boolean {
  try {
    objects.headObject(bucket, key);
    return true;
  } catch {
    return false;
  }
}

const packageBodyLimitBytes = 11 * 1024 * 1024;

interface Answer {
  status(code: number): Answer;
  header(name: string, value: string): Answer;
  send(body?: string): unknown;
}

/** Puts a body above the package's limit into its store directly; others go their usual way. */
async function takeLargeBody(request: IncomingMessage, reply: Answer, objects: S3Objects): Promise<unknown> {
  const sizeBytes = Number(request.headers["content-length"] ?? 0);
  if (request.method !== "PUT" || sizeBytes <= packageBodyLimitBytes) return undefined;
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const [, bucket = "", ...rest] = (request.url ?? "").split("?", 1).join("").split("/");
  const key = rest.map(decodeURIComponent).join("/");
  const { etag } = objects.putObject(bucket, key, Buffer.concat(chunks), request.headers["content-type"]);
  return reply.header("etag", etag).status(200).send();
}

/** As S3 writes keys with `encoding-type=url`: as HTML forms do, but with `/` as it is. */
function encodeListing(xml: string): string {
  return xml
    .replace(/<(Key|Prefix|StartAfter)>([^<]*)<\/\1>/g, (_all, tag: string, text: string) => {
      const encoded = encodeURIComponent(unescapeXml(text)).replaceAll("%20", "+").replaceAll("%2F", "/");
      return `<${tag}>${encoded}</${tag}>`;
    })
    .replace("</ListBucketResult>", "<EncodingType>url</EncodingType></ListBucketResult>");
}

function unescapeXml(text: string): string {
  return text
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&apos;", "'")
    .replaceAll("&amp;", "&");
}

function errorXml(code: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`;
}
