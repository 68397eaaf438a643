import { TrommelError } from "@trommel/common";

/** Downloads go over https, from the first address to the last of its redirects; this machine alone may use http. */

/** @throws TrommelError `invalid-argument` for plain http to anywhere but this machine */
export function requireSecure(url: URL): void {
  if (url.protocol === "https:" || isLoopback(url)) return;
  throw new TrommelError(
    "invalid-argument",
    `failed to open ${withoutSecrets(url)}: plain http is not read. Use https.`,
  );
}

function isLoopback({ protocol, hostname }: URL): boolean {
  return protocol === "http:" && ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
}

/** An address fit for messages: without user, query and fragment. */
export function withoutSecrets(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

/**
 * Follows redirects itself, so that not even one of them goes over plain http, and none leads from the network to a
 * server on this machine.
 * @throws TrommelError `invalid-argument`, `unavailable` for redirects without end; what `fetch` throws otherwise
 */
export async function fetchSecurely(
  url: URL,
  request: { readonly signal: AbortSignal; readonly headers?: Readonly<Record<string, string>> },
): Promise<Response> {
  let target = url;
  for (let redirects = 0; redirects < 10; redirects++) {
    requireSecure(target);
    if (isLoopback(target) && !isLoopback(url)) {
      throw new TrommelError(
        "invalid-argument",
        `failed to open ${withoutSecrets(url)}: it redirects to ${withoutSecrets(target)}, and plain http is not read.`,
      );
    }
    const response = await fetch(target, { ...request, redirect: "manual" });
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || location === null) return response;
    await response.body?.cancel();
    target = redirectTarget(location, target);
  }
  throw new TrommelError(
    "unavailable",
    `failed to download ${withoutSecrets(url)}: it redirects without end.`,
  );
}

function redirectTarget(location: string, from: URL): URL {
  if (URL.canParse(location, from.href)) return new URL(location, from);
  throw new TrommelError(
    "unavailable",
    `failed to download ${withoutSecrets(from)}: it redirects to no address. Check where the file lies now.`,
    { retryable: false },
  );
}

/** For an answer that is not the file. */
export function statusError(name: string, status: number): TrommelError {
  const code =
    status === 404 || status === 410
      ? "not-found"
      : status < 500 && status !== 429 && status !== 408
        ? "forbidden"
        : "unavailable";
  return new TrommelError(
    code,
    `failed to download ${name}: the server answers ${status}. Check the address.`,
    { context: { status } },
  );
}

export function tooLarge(name: string, maxBytes: number): TrommelError {
  return new TrommelError(
    "too-large",
    `failed to read ${name}: it is larger than ${maxBytes} bytes, the bound for this file.`,
  );
}
