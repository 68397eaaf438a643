import { readFileSync } from "node:fs";
import type { S3Client, S3ClientConfig } from "@aws-sdk/client-s3";
import { TrommelError } from "../../errors.js";

/**
 * How a bucket is entered, beyond the AWS SDK's own credentials: unsigned, at the reader's expense, with a customer's key.
 * Read from the environment by each process that opens a bucket, so that no key is in a recipe, a payload or an artefact.
 */
interface S3Access {
  readonly unsigned: boolean;
  readonly requesterPays: boolean;
  /** 32 bytes: server-side encryption with a customer-provided key (SSE-C). */
  readonly customerKey: Uint8Array | undefined;
}

const unsignedVariable = "AWS_NO_SIGN_REQUEST";
const payerVariable = "AWS_REQUEST_PAYER";
const keyFileVariable = "TROMMEL_S3_CUSTOMER_KEY_FILE";
const keyBucketsVariable = "TROMMEL_S3_CUSTOMER_KEY_BUCKETS";
const keyBytes = 32;

type Variables = Readonly<Record<string, string | undefined>>;

/** @throws TrommelError `invalid-argument` naming the variable; never its value where that may be a key */
export function accessOf(bucket: string, env: Variables = process.env): S3Access {
  return {
    unsigned: isUnsigned(bucket, env[unsignedVariable] ?? ""),
    requesterPays: isRequester(env[payerVariable] ?? ""),
    customerKey: customerKeyOf(bucket, env),
  };
}

/** `true` for every bucket, or the names of the public ones: the store of a run is another bucket, and is signed. */
function isUnsigned(bucket: string, value: string): boolean {
  const text = value.trim();
  if (/^(true|yes|1)$/i.test(text)) return true;
  if (text === "" || /^(false|no|0)$/i.test(text)) return false;
  return listed(unsignedVariable, text, "true, false or names of buckets separated by commas").includes(
    bucket,
  );
}

function isRequester(value: string): boolean {
  const text = value.trim().toLowerCase();
  if (text === "") return false;
  if (text === "requester") return true;
  throw illegal(payerVariable, `'${value}' is no payer`, "requester");
}

function customerKeyOf(bucket: string, env: Variables): Uint8Array | undefined {
  const path = env[keyFileVariable] ?? "";
  if (path === "") return undefined;
  const buckets = env[keyBucketsVariable] ?? "";
  if (buckets !== "" && !listed(keyBucketsVariable, buckets, "names of buckets").includes(bucket))
    return undefined;
  return parseKey(path);
}

/** A file with the key itself, or with its base64 text. */
function parseKey(path: string): Uint8Array {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    throw illegal(keyFileVariable, `${path} cannot be read`, "the path of a file with the key");
  }
  if (bytes.byteLength === keyBytes) return bytes;
  const text = bytes.toString("latin1").trim();
  const decoded = Buffer.from(text, "base64");
  if (decoded.byteLength === keyBytes && decoded.toString("base64") === text) return decoded;
  throw illegal(keyFileVariable, `${path} holds no key`, `a file of ${keyBytes} bytes, or their base64 text`);
}

function listed(variable: string, text: string, legal: string): readonly string[] {
  const names = text.split(",").map((name) => name.trim().replace(/^s3:\/\/([^/]*).*$/, "$1"));
  if (names.every((name) => /^[A-Za-z0-9._-]+$/.test(name))) return names;
  throw illegal(variable, `'${text}' has something that is no name of a bucket`, legal);
}

function illegal(variable: string, why: string, legal: string): TrommelError {
  return new TrommelError("invalid-argument", `cannot read ${variable}: ${why}. Give ${legal}, or unset it`);
}

/** What a client is made with so that it asks nobody for credentials and signs nothing. */
export const unsignedConfig: Pick<S3ClientConfig, "signer" | "credentials"> = {
  signer: { sign: (request) => Promise.resolve(request) },
  credentials: { accessKeyId: "unsigned", secretAccessKey: "unsigned" },
};

/** Requests that the customer's key goes with: whatever reads or writes an object's bytes, or asks for its size. */
const withKey = new Set([
  "GetObjectCommand",
  "HeadObjectCommand",
  "PutObjectCommand",
  "CreateMultipartUploadCommand",
  "UploadPartCommand",
  "CompleteMultipartUploadCommand",
]);

const withoutPayer = new Set(["HeadBucketCommand"]);

/** Adds to each request what the bucket asks for. The SDK turns the key into its three headers, with its MD5. */
export function applyAccess(client: S3Client, { requesterPays, customerKey }: S3Access): void {
  if (!requesterPays && customerKey === undefined) return;
  client.middlewareStack.add(
    (next, { commandName = "" }) =>
      (args) => {
        const payer = requesterPays && !withoutPayer.has(commandName) ? { RequestPayer: "requester" } : {};
        const key =
          customerKey !== undefined && withKey.has(commandName)
            ? { SSECustomerAlgorithm: "AES256", SSECustomerKey: customerKey }
            : {};
        return next({ ...args, input: { ...args.input, ...payer, ...key } });
      },
    { step: "initialize", priority: "high", name: "trommelAccess" },
  );
}
