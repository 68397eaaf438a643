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

function signatureOf(request: IncomingMessage, scope: string, signedHeaders: string, secret: string): string {
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
