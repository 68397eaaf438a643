import { TrommelError } from "@trommel/common";
import { publicHub, type HubReference } from "@trommel/common/artefacts";
import { requestSecurely, statusError, tooLarge, withoutSecrets } from "../secure-request.js";

export interface HubAccess {
  /** Address of the hub, without a slash at its end. */
  readonly endpoint: string;
  /** Sent to the hub alone: `got` removes it from a redirect to another host. */
  readonly token: string | undefined;
}

export interface HubAnswer {
  readonly bytes: Uint8Array;
  /** The next page, as the `Link` header names it, on the endpoint. */
  readonly next: URL | undefined;
}

const answerTimeoutMs = 60_000;

/** Reads what a hub says of one repository. */
export class HubClient {
  readonly #access: HubAccess;
  readonly #reference: HubReference;

  constructor(access: HubAccess, reference: HubReference) {
    this.#access = access;
    this.#reference = reference;
  }

  get headers(): Readonly<Record<string, string>> {
    const { token } = this.#access;
    return token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  url(path: string): URL {
    return new URL(`${this.#access.endpoint}/${path}`);
  }

  /** The address of a file at a commit. */
  fileUrl(path: string, commit: string, how: "resolve" | "raw" = "resolve"): URL {
    return this.url(
      `${this.#reference.id}/${how}/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`,
    );
  }

  /**
   * @returns undefined if the hub does not have it
   * @throws TrommelError `forbidden` for what needs a token or an agreement, `unavailable`, `timed-out`, `too-large`
   */
  async find(url: URL, maxBytes: number): Promise<HubAnswer | undefined> {
    const name = withoutSecrets(url);
    const response = await requestSecurely(url, {
      headers: this.headers,
      signal: AbortSignal.timeout(answerTimeoutMs),
    }).catch((thrown: unknown) => {
      throw this.namingEndpoint(thrown);
    });
    if (response.status === 200) {
      const chunks: Uint8Array[] = [];
      let total = 0;
      for await (const chunk of response.bytes) {
        total += chunk.byteLength;
        if (total > maxBytes) {
          response.discard();
          throw tooLarge(name, maxBytes);
        }
        chunks.push(chunk);
      }
      const link = /<([^>]+)>;\s*rel="next"/.exec(String(response.headers["link"] ?? ""))?.[1];
      return {
        bytes: Buffer.concat(chunks),
        next: link === undefined ? undefined : this.#onEndpoint(new URL(link, url)),
      };
    }
    response.discard();
    if (response.status === 404) return undefined;
    if (response.status === 401 || response.status === 403) throw this.refusal(response.status);
    throw this.namingEndpoint(statusError(name, response.status));
  }

  /** An error of the connection; with a hub of the user's own, its address may be the reason. */
  namingEndpoint(thrown: unknown): unknown {
    const { endpoint } = this.#access;
    if (endpoint === publicHub || !(thrown instanceof TrommelError)) return thrown;
    const { code, message, retryable, context, cause } = thrown;
    return new TrommelError(code, `${message}; HF_ENDPOINT is ${withoutSecrets(new URL(endpoint))}`, {
      retryable,
      context,
      cause,
    });
  }

  /** For 401 and 403. The hub answers a repository that does not exist in the same way where nobody is signed in. */
  refusal(status: number): TrommelError {
    const { id, revision } = this.#reference;
    const name = `hf:${id}${revision === "main" ? "" : `@${revision}`}`;
    const page = `${this.#access.endpoint}/${id}`;
    return new TrommelError(
      "forbidden",
      this.#access.token === undefined
        ? `cannot pull ${name}: the hub answers ${status}. It does not exist, or it is private or gated: check the name, accept its conditions at ${page}, and set HF_TOKEN to a token that may read it`
        : `cannot pull ${name}: the hub answers ${status} to this HF_TOKEN. Accept the conditions at ${page} with its account, or set a token that may read the repository`,
      { context: { id, revision, status } },
    );
  }

  /** A mirror passes on links to the hub that it copies. They are followed on the mirror, which alone gets the token. */
  #onEndpoint({ pathname, search }: URL): URL {
    const { pathname: root } = new URL(`${this.#access.endpoint}/`);
    return this.url(
      `${pathname.startsWith(root) ? pathname.slice(root.length) : pathname.slice(1)}${search}`,
    );
  }
}
