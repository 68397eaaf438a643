import type { S3Client, S3ClientConfig } from "@aws-sdk/client-s3";
import { TrommelError } from "../../errors.js";
import { accessOf, applyAccess, unsignedConfig } from "./s3-access.js";
import { S3Retries } from "./s3-retry.js";
import { s3Sdk } from "./s3-sdk.js";

/**
 * Bounds on one request. Everything else comes from the AWS SDK's own variables and profile.
 * With the defaults a call on a server that stalls ends within two minutes, one on an address where nothing answers
 * within fifteen seconds, and one that is refused at once.
 */
export interface S3Options {
  /** Tries of one request, the first included. @default AWS_MAX_ATTEMPTS, or 8, and 4 of a server that never answered */
  readonly maxAttempts?: number;
  /** The wait before the second try, doubled for each one after; ten times that after SlowDown. @default 100 */
  readonly firstRetryDelayMs?: number;
  /** No try begins later than this after the first. @default 60000 */
  readonly retryWindowMs?: number;
  /** @default 3000, so that four tries of an address that swallows packets end within fifteen seconds */
  readonly connectionTimeoutMs?: number;
  /** How long an open connection may be silent. @default 30000 */
  readonly idleTimeoutMs?: number;
}

export interface ConfiguredS3 {
  readonly client: S3Client;
  readonly retries: S3Retries;
  /** What an error calls the server: the endpoint without credentials, or "AWS S3". */
  readonly serverName: string;
}

const pathStyleVariable = "TROMMEL_S3_FORCE_PATH_STYLE";

/**
 * A client configured by the SDK's own environment and profile. With an endpoint in AWS_ENDPOINT_URL_S3 or
 * AWS_ENDPOINT_URL the bucket goes into the path, because few other servers answer to `bucket.host`;
 * TROMMEL_S3_FORCE_PATH_STYLE (`true` or `false`) decides otherwise, and for an endpoint that the profile sets.
 */
export function configureS3(bucket: string, options: S3Options = {}): ConfiguredS3 {
  const endpoint = process.env["AWS_ENDPOINT_URL_S3"] || process.env["AWS_ENDPOINT_URL"];
  // Node.js 20 is supported here; the SDK's future needs concern those who upgrade it, not the users of each command.
  process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] ??= "true";
  const { S3Client } = s3Sdk();
  const access = accessOf(bucket);
  const client = new S3Client({
    ...(access.unsigned ? unsignedConfig : {}),
    forcePathStyle: forcesPathStyle() ?? endpoint !== undefined,
    retryStrategy: neverRetry,
    requestHandler: {
      connectionTimeout: options.connectionTimeoutMs ?? 3000,
      socketTimeout: options.idleTimeoutMs ?? 30_000,
    },
  });
  applyAccess(client, access);
  const retries = new S3Retries({
    maxAttempts: options.maxAttempts ?? attemptsOfEnvironment(),
    firstDelayMs: options.firstRetryDelayMs,
    windowMs: options.retryWindowMs,
  });
  return { client, retries, serverName: endpoint ? nameOf(endpoint) : "AWS S3" };
}

/** The SDK tries once; {@link S3Retries} does the rest. */
const neverRetry: NonNullable<S3ClientConfig["retryStrategy"]> = {
  acquireInitialRetryToken: () => Promise.resolve({ getRetryCount: () => 0, getRetryDelay: () => 0 }),
  refreshRetryTokenForRetry: () => Promise.reject(new Error("retried elsewhere")),
  recordSuccess: () => undefined,
};

function attemptsOfEnvironment(): number | undefined {
  const value = process.env["AWS_MAX_ATTEMPTS"];
  if (value === undefined || value === "") return undefined;
  if (/^[1-9]\d{0,3}$/.test(value)) return Number(value);
  throw new TrommelError(
    "invalid-argument",
    `cannot read AWS_MAX_ATTEMPTS: '${value}' is no number of tries. Set one from 1 to 9999 or unset it`,
  );
}

function forcesPathStyle(): boolean | undefined {
  const value = process.env[pathStyleVariable];
  if (value === undefined || value === "") return undefined;
  if (value === "true" || value === "1") return true;
  if (value === "false" || value === "0") return false;
  throw new TrommelError(
    "invalid-argument",
    `cannot read ${pathStyleVariable}: '${value}' is neither true nor false. Set one of them or unset it`,
  );
}

function nameOf(endpoint: string): string {
  try {
    const url = new URL(endpoint);
    url.username = "";
    url.password = "";
    url.search = "";
    return url.href.replace(/\/$/, "");
  } catch {
    throw new TrommelError(
      "invalid-argument",
      "cannot read AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL: it is not a URL. Give one such as http://host:9000",
    );
  }
}
