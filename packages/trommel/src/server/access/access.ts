import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

const sessionMs = 12 * 3_600_000;
const sessionsAtMost = 1000;

/** Compares tokens, and keeps who has logged in. A session lasts as long as the server, and 12 hours at most. */
export class Access {
  readonly #token: Buffer | undefined;
  readonly #tokenText: string | undefined;
  readonly #sessions = new Map<string, number>();
  readonly #nowMs: () => number;

  constructor(token: string | undefined, nowMs: () => number = () => performance.now()) {
    this.#tokenText = token;
    this.#token = token === undefined ? undefined : digest(token);
    this.#nowMs = nowMs;
  }

  get hasToken(): boolean {
    return this.#token !== undefined;
  }

  /** In a time that does not tell how much of it is right. */
  isToken(given: string): boolean {
    return this.#token !== undefined && timingSafeEqual(digest(given), this.#token);
  }

  /** Whether a text has the token in it. */
  isIn(text: string): boolean {
    return this.#tokenText !== undefined && text.includes(this.#tokenText);
  }

  /** @returns the id of a new session */
  open(): string {
    const now = this.#nowMs();
    for (const [key, ends] of this.#sessions) if (ends <= now) this.#sessions.delete(key);
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size >= sessionsAtMost && oldest !== undefined) this.#sessions.delete(oldest);
    const id = randomBytes(32).toString("base64url");
    this.#sessions.set(keyOf(id), now + sessionMs);
    return id;
  }

  isOpen(id: string): boolean {
    return (this.#sessions.get(keyOf(id)) ?? 0) > this.#nowMs();
  }

  close(id: string): void {
    this.#sessions.delete(keyOf(id));
  }
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** Sessions are looked up by the hash of their id: the time of a look-up tells nothing of the id. */
function keyOf(id: string): string {
  return digest(id).toString("base64");
}
