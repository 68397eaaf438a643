import { fork } from "node:child_process";
import { Worker, type Transferable } from "node:worker_threads";
import { messageOf } from "@trommel/common/errors";
import {
  fromWireError,
  PeerEnded,
  type CallMessage,
  type NoteOf,
  type ReplyMessage,
  type Requests,
  type RequestType,
} from "./protocol.js";

export interface CallOptions<Request extends RequestType> {
  /** Buffers that are moved; only threads can do so. */
  readonly transfer?: readonly Transferable[];
  readonly onNote?: (note: NoteOf<Request>) => void;
  /** Asks the peer to give the call up. */
  readonly signal?: AbortSignal;
  /** A peer that takes longer is ended, and all calls to it with it. @default no bound */
  readonly timeoutMs?: number;
}

/** How a peer is reached. */
interface Link {
  readonly post: (message: CallMessage<never>, transfer: readonly Transferable[]) => void;
  readonly listen: (onReply: (reply: ReplyMessage) => void, onEnd: (reason: string) => void) => void;
  /** Ends it at once. Resolves when it has ended. */
  readonly kill: () => Promise<void>;
}

interface PendingCall {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  readonly onNote: ((note: never) => void) | undefined;
}

/** One thread or process from its start to its end. After that every call to it fails. */
export class Peer<R extends Requests<R>> {
  readonly #link: Link;
  readonly #pending = new Map<number, PendingCall>();
  #ended: PeerEnded | undefined;
  #nextId = 1;

  constructor(link: Link) {
    this.#link = link;
    link.listen(
      (reply) => this.#settle(reply),
      (reason) => this.#fail(new PeerEnded("died", reason)),
    );
  }

  get isRunning(): boolean {
    return this.#ended === undefined;
  }

  /** @throws PeerEnded; TrommelError that the method throws; the signal's reason if it is aborted already */
  async call<Method extends keyof R>(
    method: Method,
    argument: R[Method]["argument"],
    options: CallOptions<R[Method]> = {},
  ): Promise<R[Method]["result"]> {
    const { signal, timeoutMs, transfer = [], onNote } = options;
    signal?.throwIfAborted();
    if (this.#ended !== undefined) throw new PeerEnded(this.#ended.how, this.#ended.reason);
    const id = this.#nextId;
    this.#nextId += 1;
    const abort = (): void => this.#link.post({ kind: "abort", id }, []);
    signal?.addEventListener("abort", abort, { once: true });
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => this.#expire(timeoutMs), timeoutMs);
    try {
      return await new Promise<R[Method]["result"]>((resolve, reject) => {
        this.#pending.set(id, { resolve, reject, onNote });
        this.#link.post({ kind: "call", id, method, argument }, transfer);
      });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      this.#pending.delete(id);
    }
  }

  /** Ends it at once; calls under way fail. Resolves when it has ended. */
  async end(): Promise<void> {
    await this.#link.kill();
  }

  #expire(timeoutMs: number): void {
    this.#fail(new PeerEnded("timed-out", `it did not finish in ${timeoutMs} ms`));
    void this.#link.kill();
  }

  #fail(ended: PeerEnded): void {
    this.#ended ??= ended;
    for (const { reject } of this.#pending.values()) reject(this.#ended);
    this.#pending.clear();
  }

  #settle(reply: ReplyMessage): void {
    const pending = this.#pending.get(reply.id);
    if (reply.kind === "note") pending?.onNote?.(reply.note as never);
    else if (reply.kind === "value") pending?.resolve(reply.value as never);
    else pending?.reject(fromWireError(reply.error));
  }
}

/**
 * Starts a thread that serves calls with `serveThread`.
 * @param options.isQuiet drops what it prints, and starts it without the flags of this process. @default false
 */
export function startThread<R extends Requests<R>, Data = null>(
  entry: URL,
  workerData: Data,
  { isQuiet = false }: { readonly isQuiet?: boolean } = {},
): Peer<R> {
  const quiet = { stdout: true, stderr: true, execArgv: [] };
  const thread = new Worker(entry, { workerData, ...(isQuiet ? quiet : {}) });
  if (isQuiet) for (const stream of [thread.stdout, thread.stderr]) stream.resume();
  return new Peer<R>({
    post: (message, transfer) => thread.postMessage(message, [...transfer]),
    listen: (onReply, onEnd) => {
      thread.on("message", onReply);
      thread.on("error", (error) => onEnd(messageOf(error)));
      thread.on("exit", (code) => onEnd(`exit code ${code}`));
    },
    kill: async () => {
      await thread.terminate();
    },
  });
}

/** Starts a process that serves calls with `serveProcess`. Only what it writes to stderr is seen. */
export function startProcess<R extends Requests<R>>(entry: URL, env: NodeJS.ProcessEnv): Peer<R> {
  const child = fork(entry, [], {
    serialization: "advanced",
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    env,
  });
  const ended = new Promise<string>((resolve) => {
    // The channel closes after its last message was delivered, which cannot be said of the exit.
    child.once("disconnect", () => resolve("its channel closed"));
    // It could not be started, or a message could not be sent.
    child.once("error", (error) => resolve(messageOf(error)));
  });
  return new Peer<R>({
    // If sending fails, the channel ends, which is noticed.
    post: (message) => void child.send(message, () => undefined),
    listen: (onReply, onEnd) => {
      child.on("message", onReply);
      void ended.then(onEnd);
    },
    kill: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  });
}
