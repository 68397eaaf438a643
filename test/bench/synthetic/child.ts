import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** A process of a benchmark that answers messages one at a time, and ends when its channel is closed. */
export class BenchChild {
  readonly #child: ChildProcess;
  readonly #name: string;

  /** @param options its first argument, as JSON */
  constructor(module: string, options: unknown) {
    this.#name = module;
    const entry = fileURLToPath(new URL(`./${module}.js`, import.meta.url));
    this.#child = fork(entry, [JSON.stringify(options)], { env: { MALLOC_ARENA_MAX: "2", ...process.env } });
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.#name} did not start`);
    return this.#child.pid;
  }

  /** Its next message. @throws Error where it ends before */
  async message(): Promise<unknown> {
    const seen = new AbortController();
    const ended = once(this.#child, "exit", { signal: seen.signal }).then(([code]) => {
      throw new Error(`${this.#name} has ended with ${String(code)}; its own words are above`);
    });
    ended.catch(() => undefined);
    try {
      const [message] = (await Promise.race([
        once(this.#child, "message", { signal: seen.signal }),
        ended,
      ])) as [unknown];
      return message;
    } finally {
      seen.abort();
    }
  }

  async ask(request: object): Promise<unknown> {
    this.#child.send(request);
    return await this.message();
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    if (this.#child.connected) this.#child.disconnect();
    await ended;
  }
}
