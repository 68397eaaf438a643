import { createHash, createHmac } from "node:crypto";
import type { IncomingMessage } from "node:http";

/** AWS Signature Version 4 as a server checks it (docs.aws.amazon.com, "Authenticating Requests: Using the Authorization Header"). */

export interface KeyPair {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** The S3 error code of a request that is not signed with these keys, or `undefined`. */
export function whyRefused(request: IncomingMessage, keys: KeyPair): string | undefined {
  const pattern =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]+)$/;
  const match = pattern.exec(request.headers.authorization ?? "");
  if (match === null) return "AccessDenied";
  const [, accessKeyId = "", scope = "", signedHeaders = "", signature = ""] = match;
  if (accessKeyId !== keys.accessKeyId) return "InvalidAccessKeyId";
  return signatureOf(request, scope, signedHeaders, keys.secretAccessKey) === signature
    ? undefined
    : "SignatureDoesNotMatch";
}

/** The headers that sign a request without a body, for what no client of ours does. `url` begins with the path. */
export function signedHeaders(
  { method, host, url }: { readonly method: string; readonly host: string; readonly url: string },
  keys: KeyPair,
): Record<string, string> {
  const date = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const headers = {
    host,
    "x-amz-content-sha256": createHash("sha256").digest("hex"),
    "x-amz-date": date,
  };
  const names = Object.keys(headers).join(";");
  const scope = `${date.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const signature = signatureOf({ method, url, headers }, scope, names, keys.secretAccessKey);
  const authorization = `AWS4-HMAC-SHA256 Credential=${keys.accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`;
  return { ...headers, authorization };
}

type SignedRequest = Pick<IncomingMessage, "method" | "url" | "headers">;

function signatureOf(request: SignedRequest, scope: string, signedHeaders: string, secret: string): string {
  const [path = "", query = ""] = (request.url ?? "/").split("?");
  const canonicalQuery = query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => (pair.includes("=") ? pair : `${pair}=`))
    .sort()
    .join("&");
  const header = (name: string) => {
    const value = request.headers[name];
    return (Array.isArray(value) ? value.join(",") : (value ?? "")).trim().replace(/ +/g, " ");
  };
  const canonicalRequest = [
    request.method,
    path,
    canonicalQuery,
    ...signedHeaders.split(";").map((name) => `${name}:${header(name)}`),
    "",
    signedHeaders,
    header("x-amz-content-sha256"),
  ].join("\n");
  const digest = createHash("sha256").update(canonicalRequest).digest("hex");
  const toSign = ["AWS4-HMAC-SHA256", header("x-amz-date"), scope, digest].join("\n");
  const signingKey = scope
    .split("/")
    .reduce<string | Buffer>((key, part) => hmac(key, part), `AWS4${secret}`);
  return hmac(signingKey, toSign).toString("hex");
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
