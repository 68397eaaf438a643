import type { IncomingHttpHeaders } from "node:http";
import { TrommelError, messageOf } from "@trommel/common";

/** Downloads use https, for the first address and for every redirect. Only this machine may be read over http. */

/** @throws TrommelError `invalid-argument` for plain http to any other machine than this one */
export function requireSecure(url: URL): void {
  if (url.protocol === "https:" || isLoopback(url)) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot open ${withoutSecrets(url)}: plain http is not allowed. Use https`,
  );
}

function isLoopback({ protocol, hostname }: URL): boolean {
  return protocol === "http:" && ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
}

/** A redirect must not lead from the network to a server on this machine either. */
function requireSecureRedirect(from: URL, to: URL): void {
  if (to.protocol === "https:" || (isLoopback(from) && isLoopback(to))) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot open ${withoutSecrets(from)}: it redirects to ${withoutSecrets(to)}, which is not https. ` +
      "Use an address that stays on https",
  );
}

/** The address for messages: without user, query and fragment, which may contain credentials. */
export function withoutSecrets(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

export interface SecureRequest {
  /** Limits the whole request. */
  readonly signal: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
  /** The longest wait for the next byte. @default no limit but the signal's */
  readonly idleTimeoutMs?: number;
}

export interface SecureResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The body as the server sends it, never decompressed; throws TrommelErrors alone. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Ends a response whose body is not needed. */
  discard(): void;
}

/**
 * A GET request that follows up to ten redirects.
 * @throws TrommelError `unavailable`, `timed-out`, `invalid-argument` for an address that is not secure
 */
export async function requestSecurely(url: URL, request: SecureRequest): Promise<SecureResponse> {
  requireSecure(url);
  const { headers = {}, idleTimeoutMs, signal } = request;
  // Loaded here because only downloads need it.
  const { got } = await import("got");
  const stream = got.stream(url, {
    ...{ headers: { "user-agent": "trommel", ...headers }, signal, decompress: false },
    ...{ throwHttpErrors: false, retry: { limit: 0 }, maxRedirects: 10 },
    timeout: idleTimeoutMs === undefined ? {} : { socket: idleTimeoutMs },
    hooks: {
      beforeRedirect: [({ url: to }) => requireSecureRedirect(url, new URL(to ?? url))],
    },
  });
  const responded = new Promise<Pick<SecureResponse, "headers"> & { statusCode: number }>(
    (resolve, reject) => {
      // The second listener stays, so that an error while nothing reads the body is not unhandled.
      stream.once("response", resolve).on("error", reject);
    },
  );
  const failure = (thrown: unknown): TrommelError => networkError(thrown, url, request);
  const response = await responded.catch((thrown: unknown) => {
    throw failure(thrown);
  });
  async function* bytes(): AsyncGenerator<Uint8Array, void> {
    try {
      yield* stream as AsyncIterable<Uint8Array>;
    } catch (thrown) {
      throw failure(thrown);
    }
  }
  return {
    status: response.statusCode,
    headers: response.headers,
    bytes: bytes(),
    discard: () => void stream.destroy(),
  };
}

function networkError(thrown: unknown, url: URL, { signal, idleTimeoutMs }: SecureRequest): TrommelError {
  const { code, cause } = thrown as NodeJS.ErrnoException;
  if (cause instanceof TrommelError) return cause;
  const isIdle = code === "ETIMEDOUT" && idleTimeoutMs !== undefined;
  const why = isIdle ? `no byte for ${idleTimeoutMs} ms` : messageOf(signal.aborted ? signal.reason : thrown);
  return new TrommelError(
    isIdle || signal.aborted ? "timed-out" : "unavailable",
    `cannot download ${withoutSecrets(url)}: ${why}. Check the address and the network`,
    { cause: thrown, ...(code === "ERR_INVALID_URL" ? { retryable: false } : {}) },
  );
}

/** For a response that is not the file. */
export function statusError(name: string, status: number): TrommelError {
  const refused = status >= 400 && status < 500 && status !== 408 && status !== 429;
  const code = status === 404 || status === 410 ? "not-found" : refused ? "forbidden" : "unavailable";
  return new TrommelError(code, `cannot download ${name}: the server answers ${status}. Check the address`, {
    context: { status },
  });
}

export function tooLarge(name: string, maxBytes: number): TrommelError {
  return new TrommelError(
    "too-large",
    `cannot read ${name}: it is larger than ${maxBytes} bytes, the limit for this file`,
  );
}
