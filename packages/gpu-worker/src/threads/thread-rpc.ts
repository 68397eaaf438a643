import { Worker, type MessagePort, type Transferable } from "node:worker_threads";
import {
  errorCodes,
  messageOf,
  toTrommelError,
  TrommelError,
  type ErrorCode,
  type ErrorContext,
} from "@trommel/common";
import { withTimeout } from "@trommel/common/jobs/redis-connection";

/**
 * Calls between threads: a method's name and one argument there, one value or a TrommelError back. Buffers are moved,
 * not copied. A thread that dies fails every call under way, retryably, and is started again by the next call.
 */

interface Request {
  readonly id: number;
  readonly method: string;
  readonly argument: unknown;
}

type Reply =
  | { readonly id: number; readonly kind: "value"; readonly value: unknown }
  | { readonly id: number; readonly kind: "note"; readonly note: unknown }
  | { readonly id: number; readonly kind: "error"; readonly error: WireError };

interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly context: ErrorContext;
  readonly stack: string | undefined;
}

export interface Answer {
  readonly value: unknown;
  readonly transfer?: readonly Transferable[];
}

/** @param note sends something to the caller while the call goes on */
export type Handler = (
  argument: never,
  note: (value: unknown) => void,
  signal: AbortSignal,
) => Promise<Answer>;

const abortMethod = "$abort";

/** Serves calls on a thread's port. */
export function serveCalls(port: MessagePort, handlers: Readonly<Record<string, Handler>>): void {
  const aborts = new Map<number, AbortController>();
  port.on("message", (request: Request) => {
    if (request.method === abortMethod) {
      aborts.get(request.id)?.abort(new TrommelError("cancelled", "the caller gave up on it"));
      return;
    }
    void answer(request);
  });

  async function answer({ id, method, argument }: Request): Promise<void> {
    const abort = new AbortController();
    aborts.set(id, abort);
    try {
      const handler = handlers[method];
      if (handler === undefined) throw new TrommelError("internal", `no thread method ${method}`);
      const note = (value: unknown): void =>
        port.postMessage({ id, kind: "note", note: value } satisfies Reply);
      const { value, transfer } = await handler(argument as never, note, abort.signal);
      port.postMessage({ id, kind: "value", value } satisfies Reply, [...(transfer ?? [])]);
    } catch (thrown) {
      const error = toTrommelError(thrown);
      const { code, message, retryable, context } = error;
      const stack = error.cause instanceof Error ? error.cause.stack : error.stack;
      port.postMessage({
        id,
        kind: "error",
        error: { code, message, retryable, context, stack },
      } satisfies Reply);
    } finally {
      aborts.delete(id);
    }
  }
}

interface Pending {
  readonly thread: Worker;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly note: ((value: unknown) => void) | undefined;
}

/** How long calls under way may take to end before their thread is stopped. */
const stopPatienceMs = 3000;

export interface CallOptions {
  readonly transfer?: readonly Transferable[];
  readonly onNote?: (value: unknown) => void;
  readonly signal?: AbortSignal;
}

/** A thread that serves calls, started by the first of them. */
export class ThreadClient {
  readonly #entry: URL;
  readonly #data: unknown;
  readonly #pending = new Map<number, Pending>();
  #thread: Worker | undefined;
  #whenIdle: (() => void) | undefined;
  #nextId = 1;
  /** Counts starts, so that holders of the thread's state see that it is gone. */
  generation = 0;

  constructor(entry: URL, data: unknown) {
    this.#entry = entry;
    this.#data = data;
  }

  async call(method: string, argument: unknown, options: CallOptions = {}): Promise<unknown> {
    options.signal?.throwIfAborted();
    const thread = this.#running();
    const id = this.#nextId;
    this.#nextId += 1;
    const abort = (): void =>
      thread.postMessage({ id, method: abortMethod, argument: null } satisfies Request);
    options.signal?.addEventListener("abort", abort, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        this.#pending.set(id, { thread, resolve, reject, note: options.onNote });
        thread.postMessage({ id, method, argument } satisfies Request, [...(options.transfer ?? [])]);
      });
    } finally {
      options.signal?.removeEventListener("abort", abort);
      this.#pending.delete(id);
      if (this.#pending.size === 0) this.#whenIdle?.();
    }
  }

  /** A thread that is stopped inside native code may take the process down, so calls under way may end first. */
  async stop(): Promise<void> {
    if (this.#pending.size > 0) {
      const idle = new Promise<void>((resolve) => (this.#whenIdle = resolve));
      await withTimeout(idle, stopPatienceMs, "let a thread finish").catch(() => undefined);
    }
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.terminate();
  }

  #running(): Worker {
    if (this.#thread !== undefined) return this.#thread;
    const thread = new Worker(this.#entry, { workerData: this.#data });
    this.generation += 1;
    thread.on("message", (reply: Reply) => this.#settle(reply));
    const end = (reason: string): void => {
      if (this.#thread === thread) this.#thread = undefined;
      for (const [id, pending] of this.#pending) {
        if (pending.thread !== thread) continue;
        this.#pending.delete(id);
        pending.reject(new TrommelError("unavailable", `a thread of the worker ended: ${reason}`));
      }
    };
    thread.on("error", (error) => end(messageOf(error)));
    thread.on("exit", (code) => end(`exit code ${code}`));
    this.#thread = thread;
    return thread;
  }

  #settle(reply: Reply): void {
    const pending = this.#pending.get(reply.id);
    if (pending === undefined) return;
    if (reply.kind === "note") {
      pending.note?.(reply.note);
      return;
    }
    if (reply.kind === "value") {
      pending.resolve(reply.value);
      return;
    }
    const { code, message, retryable, context, stack } = reply.error;
    const error = new TrommelError(code in errorCodes ? code : "internal", message, { retryable, context });
    if (stack !== undefined) error.stack = stack;
    pending.reject(error);
  }
}
