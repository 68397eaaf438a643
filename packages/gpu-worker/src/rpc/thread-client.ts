import { withTimeout } from "@trommel/common/waiting";
import { startThread, type CallOptions, type Peer } from "./peer.js";
import type { Requests } from "./protocol.js";

/**
 * A thread that serves calls, started by the first call. A thread that dies fails every call under way, retryably, and
 * the next call starts another.
 */
export class ThreadClient<R extends Requests<R>, Data = null> {
  readonly #entry: URL;
  readonly #data: Data;
  readonly #stopPatienceMs: number;
  readonly #underWay = new Set<Promise<unknown>>();
  #thread: Peer<R> | undefined;
  /** Counts starts, so that holders of the thread's state see that the state is lost. */
  generation = 0;

  /** @param stopPatienceMs how long calls under way may take to end before their thread is stopped */
  constructor(entry: URL, data: Data, stopPatienceMs = 3000) {
    this.#entry = entry;
    this.#data = data;
    this.#stopPatienceMs = stopPatienceMs;
  }

  /** @throws as {@link Peer.call} does */
  async call<Method extends keyof R>(
    method: Method,
    argument: R[Method]["argument"],
    options: CallOptions<R[Method]> = {},
  ): Promise<R[Method]["result"]> {
    options.signal?.throwIfAborted();
    const call = this.#running().call(method, argument, options);
    this.#underWay.add(call);
    try {
      return await call;
    } finally {
      this.#underWay.delete(call);
    }
  }

  /** A thread that is stopped inside native code may take the process down, so calls under way may end first. */
  async stop(): Promise<void> {
    if (this.#underWay.size > 0) {
      const idle = Promise.allSettled(this.#underWay);
      await withTimeout({ timeoutMs: this.#stopPatienceMs, doing: "let a thread finish" }, idle).catch(
        () => undefined,
      );
    }
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.end();
  }

  #running(): Peer<R> {
    if (this.#thread?.isRunning === true) return this.#thread;
    this.#thread = startThread<R, Data>(this.#entry, this.#data);
    this.generation += 1;
    return this.#thread;
  }
}
