import { parentPort, workerData, type Transferable } from "node:worker_threads";
import { TrommelError } from "@trommel/common/errors";
import {
  toWireError,
  type CallMessage,
  type Handlers,
  type NoteOf,
  type ReplyMessage,
  type Requests,
} from "./protocol.js";

/** What a peer answers calls over. */
interface Port {
  readonly post: (reply: ReplyMessage, transfer: readonly Transferable[]) => void;
  readonly onMessage: <Message>(listener: (message: Message) => void) => void;
}

/**
 * Serves the calls of the thread that started this one; does nothing on a main thread.
 * @param create makes the handlers from what the thread was started with
 */
export function serveThread<R extends Requests<R>, Data = null>(create: (data: Data) => Handlers<R>): void {
  if (parentPort === null) return;
  const port = parentPort;
  serve(create(workerData as Data), {
    post: (reply, transfer) => port.postMessage(reply, [...transfer]),
    onMessage: (listener) => port.on("message", listener),
  });
}

/** Serves the calls of the process that forked this one; does nothing in a process that has no such parent. */
export function serveProcess<R extends Requests<R>>(create: () => Handlers<R>): void {
  if (process.send === undefined) return;
  serve(create(), {
    // A parent that ended cannot receive it; the end of the channel is noticed elsewhere.
    post: (reply) => process.send?.(reply, undefined, undefined, () => undefined),
    onMessage: (listener) => process.on("message", listener),
  });
}

function serve<R extends Requests<R>>(handlers: Handlers<R>, port: Port): void {
  const aborts = new Map<number, AbortController>();
  port.onMessage((message: CallMessage<R>) => {
    if (message.kind === "call")
      void answer(message.id, message.method, message.argument as R[keyof R]["argument"]);
    else aborts.get(message.id)?.abort(new TrommelError("cancelled", "the caller gave up on it"));
  });

  async function answer<Method extends keyof R>(
    id: number,
    method: Method,
    argument: R[Method]["argument"],
  ): Promise<void> {
    const abort = new AbortController();
    aborts.set(id, abort);
    try {
      const note = (value: NoteOf<R[Method]>): void => port.post({ kind: "note", id, note: value }, []);
      const { value, transfer = [] } = await handlers[method](argument, { note, signal: abort.signal });
      port.post({ kind: "value", id, value }, transfer);
    } catch (thrown) {
      port.post({ kind: "error", id, error: toWireError(thrown) }, []);
    } finally {
      aborts.delete(id);
    }
  }
}
