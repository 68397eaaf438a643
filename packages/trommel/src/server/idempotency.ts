import { createHash } from "node:crypto";
import { canonicalJson, TrommelError } from "@trommel/common";

/** What was answered to a request with an `Idempotency-Key`. */
interface Kept {
  readonly requestHash: string;
  readonly answer: Promise<unknown>;
  readonly atMs: number;
}

const keysAtMost = 10_000;
const keptMs = 24 * 3_600_000;

/**
 * Answers of requests by their key, for a day and as long as the server runs. A second request with the same key and body waits for the
 * answer of the first one and gets it. An error is not kept, so that the request can be corrected and sent again.
 */
export class Idempotency {
  readonly #kept = new Map<string, Kept>();

  /** @throws TrommelError `invalid-argument` for an illegal key, `conflict` for a known key with another request */
  async once(
    key: string,
    request: { readonly path: string; readonly body: unknown },
    work: () => Promise<unknown>,
  ): Promise<unknown> {
    if (!/^[\x21-\x7e]{1,255}$/.test(key))
      throw new TrommelError(
        "invalid-argument",
        "cannot use the Idempotency-Key: it is not 1 to 255 visible ASCII characters. Draw a UUID for each request that is meant once",
      );
    const nowMs = performance.now();
    const requestHash = createHash("sha256")
      .update(canonicalJson([request.path, request.body ?? null]))
      .digest("hex");
    const known = this.#kept.get(key);
    if (known !== undefined && nowMs - known.atMs < keptMs) {
      if (known.requestHash === requestHash) return known.answer;
      throw new TrommelError(
        "conflict",
        `cannot use the Idempotency-Key ${JSON.stringify(key)}: it came with another request before. Draw a new one for a new request`,
      );
    }
    const answer = work();
    this.#kept.set(key, { requestHash, answer, atMs: nowMs });
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > keysAtMost && oldest !== undefined) this.#kept.delete(oldest);
    return answer.catch((thrown: unknown) => {
      if (this.#kept.get(key)?.answer === answer) this.#kept.delete(key);
      throw thrown;
    });
  }
}
