import { createHash } from "node:crypto";
import { lookup as lookUp } from "node:dns";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import type { LookupFunction } from "node:net";
import { sha256Hex } from "../../codec/canonical-json.js";
import { messageOf, TrommelError } from "../../errors.js";
import type { GetOptions, ObjectInfo, ObjectStore } from "../object-store.js";
import { objectBytesAtMost } from "../read-bounds.js";
import { S3Retries, type RetryBounds } from "../s3/s3-retry.js";
import { cancelled, changed, endsBefore, notFound, tooLarge } from "../store-errors.js";
import { contentEtag, etagOf, HttpFailure, isContentEtag, readBody } from "./http-answer.js";
import { isPrivateAddress, refusedHost, type HostRules } from "./host-rules.js";

/** A server that is silent for so long is asked again. */
const silentAtMostMs = 30_000;
const redirectsAtMost = 3;

export interface HttpStoreOptions {
  readonly rules: HostRules;
  readonly retries?: RetryBounds;
  /** Certificates of authorities besides the system's. */
  readonly ca?: string;
}

/**
 * The objects of a server, by https: read one at a time by their paths. Only hosts of the list are asked, by redirects too, and none
 * with a private address unless that is allowed. Requests are repeated as those to S3 are. Nothing can be listed or written.
 */
export class HttpStore implements ObjectStore {
  readonly url: string;
  private readonly agent: Agent;
  private readonly retries: S3Retries;
  private readonly rules: HostRules;

  constructor(origin: string, { rules, retries, ca }: HttpStoreOptions) {
    this.url = origin;
    this.rules = rules;
    this.retries = new S3Retries(retries);
    this.agent = new Agent({
      keepAlive: true,
      maxSockets: 64,
      lookup: publicLookup(rules),
      ...(ca === undefined ? {} : { ca }),
    });
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    const { range, signal, maxBytes = objectBytesAtMost, etag } = options;
    const headers =
      range === undefined ? {} : { range: `bytes=${range.offset}-${range.offset + range.length - 1}` };
    return this.tries(key, signal, async () => {
      const answer = await this.ask("GET", key, headers, signal);
      const found = etagOf(answer);
      const stated = Number(answer.headers["content-length"] ?? Number.NaN);
      try {
        const isOfContent = etag !== undefined && isContentEtag(etag);
        if (etag !== undefined && etag !== "" && !isOfContent && found !== "" && etag !== found)
          throw changed(this.url, key, etag, found);
        if (stated > maxBytes) throw tooLarge(this.url, key, stated, maxBytes);
        if (range !== undefined && answer.statusCode !== 206) throw this.withoutRanges(key);
        const bytes = await readBody(answer, maxBytes, () => tooLarge(this.url, key, maxBytes + 1, maxBytes));
        if (range !== undefined && bytes.length !== range.length) throw endsBefore(this.url, key, range);
        if (!Number.isNaN(stated) && bytes.length !== stated)
          throw new TrommelError(
            "corrupt",
            `cannot read ${this.url}/${key}: the server stated ${stated} bytes and sent ${bytes.length}. Try again`,
            { retryable: true },
          );
        if (!isOfContent || range !== undefined) return bytes;
        const content = contentEtag(sha256Hex(bytes));
        if (content === etag) return bytes;
        throw changed(this.url, key, etag, content);
      } finally {
        answer.destroy();
      }
    });
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    try {
      return await this.tries(key, undefined, async () => {
        const answer = await this.ask("HEAD", key, {}, undefined);
        return { key, sizeBytes: Number(answer.headers["content-length"] ?? 0), etag: etagOf(answer) };
      });
    } catch (thrown) {
      if (thrown instanceof TrommelError && thrown.code === "not-found") return undefined;
      throw thrown;
    }
  }

  readonly headByContent = (key: string): Promise<ObjectInfo> =>
    this.tries(key, undefined, async () => {
      const answer = await this.ask("GET", key, {}, undefined);
      const hash = createHash("sha256");
      let sizeBytes = 0;
      for await (const chunk of answer as AsyncIterable<Buffer>) {
        sizeBytes += chunk.length;
        hash.update(chunk);
      }
      return { key, sizeBytes, etag: contentEtag(hash.digest("hex")) };
    });

  put(): Promise<never> {
    return Promise.reject(this.readOnly("write to"));
  }

  putStream(): Promise<never> {
    return this.put();
  }

  copyFrom(): Promise<never> {
    return this.put();
  }

  delete(): Promise<never> {
    return Promise.reject(this.readOnly("remove from"));
  }

  list(): AsyncIterable<ObjectInfo> {
    throw this.readOnly("list");
  }

  sweep(): Promise<{ readonly objects: number; readonly sizeBytes: number }> {
    return Promise.resolve({ objects: 0, sizeBytes: 0 });
  }

  close(): void {
    this.retries.close();
    this.agent.destroy();
  }

  private async tries<T>(
    key: string,
    signal: AbortSignal | undefined,
    attempt: () => Promise<T>,
  ): Promise<T> {
    try {
      return await this.retries.run(attempt, signal, false);
    } catch (thrown) {
      if (signal?.aborted === true) throw cancelled(this.url, key, signal);
      throw this.error(key, thrown);
    }
  }

  /** Follows redirects. @throws {@link HttpFailure} for a status that is no success */
  private async ask(
    method: "GET" | "HEAD",
    key: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): Promise<IncomingMessage> {
    let url = new URL(`${this.url}/${key}`);
    for (let redirects = 0; ; redirects += 1) {
      const refused = refusedHost(url, this.rules);
      if (refused !== undefined) throw refused;
      const answer = await this.askOnce(method, url, headers, signal);
      const { statusCode: status = 0 } = answer;
      if (status >= 200 && status < 300) return answer;
      answer.destroy();
      const { location } = answer.headers;
      if (status < 300 || status >= 400 || location === undefined || redirects === redirectsAtMost)
        throw new HttpFailure(status, answer.headers);
      url = new URL(location, url);
    }
  }

  private askOnce(
    method: "GET" | "HEAD",
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const { agent } = this;
      const asked = request(url, {
        ...{ method, agent, timeout: silentAtMostMs },
        headers: { "accept-encoding": "identity", "user-agent": "trommel", ...headers },
        ...(signal === undefined ? {} : { signal }),
      });
      asked.on("timeout", () => asked.destroy(new Error(`the server was silent for ${silentAtMostMs} ms`)));
      asked.on("response", (answer) => {
        if (method === "GET") return resolve(answer);
        // It has no body: read to its end it leaves the connection to the next request.
        answer.resume();
        asked.on("close", () => resolve(answer));
      });
      asked.on("error", reject);
      asked.end();
    });
  }

  private error(key: string, thrown: unknown): TrommelError {
    if (thrown instanceof TrommelError) return thrown;
    const status = thrown instanceof HttpFailure ? thrown.status : undefined;
    const what = `cannot read ${this.url}/${key}`;
    const context = {
      store: this.url,
      key,
      ...(status === undefined ? {} : { status, s3Error: `HTTP ${status}` }),
    };
    if (status === 404 || status === 410) return notFound(this.url, key);
    if (status === 401 || status === 403)
      return new TrommelError(
        "forbidden",
        `${what}: the server refuses it (status ${status}). Only what anybody may read is read by https`,
        { context },
      );
    if (status !== undefined && status < 500 && status !== 408 && status !== 429)
      return new TrommelError(
        "unsupported",
        `${what}: the server answers with status ${status}. Check the address`,
        { context },
      );
    const why = status === undefined ? messageOf(thrown) : `the server answers with status ${status}`;
    return new TrommelError("unavailable", `${what}: ${why}. Try again later`, {
      retryable: true,
      cause: thrown,
      context,
    });
  }

  private withoutRanges(key: string): TrommelError {
    return new TrommelError(
      "unsupported",
      `cannot read a part of ${this.url}/${key}: the server does not give ranges. Use another server`,
    );
  }

  private readOnly(doing: string): TrommelError {
    return new TrommelError(
      "unsupported",
      `cannot ${doing} ${this.url}: by https objects are only read, one by one. Name each in a manifest`,
    );
  }
}

/** Names are looked up once and the address is connected to, so that no second answer leads elsewhere. */
function publicLookup(rules: HostRules): LookupFunction {
  return (hostname, options, callback) => {
    lookUp(hostname, { ...options, all: true }, (error, addresses) => {
      const found = rules.allowPrivate
        ? addresses
        : addresses?.filter(({ address }) => !isPrivateAddress(address));
      const [first] = found ?? [];
      if (error === null && first === undefined) {
        const refused = new TrommelError(
          "forbidden",
          `cannot read from ${hostname}: its address is a private one. Set TROMMEL_HTTPS_PRIVATE=true to read from it`,
        );
        callback(refused, []);
      } else if (options.all === true) callback(error, found ?? []);
      else callback(error, first?.address ?? "", first?.family);
    });
  };
}
