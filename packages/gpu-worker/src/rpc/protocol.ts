import type { Transferable } from "node:worker_threads";
import {
  errorCodes,
  toTrommelError,
  TrommelError,
  type ErrorCode,
  type ErrorContext,
} from "@trommel/common/errors";

/**
 * Calls to a thread or a process of the worker: a method and one argument there, one result or a TrommelError back.
 * The methods of a peer are one type that both ends share, so that neither has to cast:
 *
 *     type EchoRequests = { echo: { argument: string; result: string } };
 */
export type Requests<R> = { readonly [Method in keyof R]: RequestType };

export interface RequestType {
  readonly argument: unknown;
  readonly result: unknown;
  /** What the peer may send to the caller before the result. */
  readonly note?: unknown;
}

export type NoteOf<Request> = Request extends { readonly note: infer Note } ? Note : never;

/** What a method gives back. Buffers in `transfer` are moved and not copied, which only threads can do. */
export interface Answer<Result> {
  readonly value: Result;
  readonly transfer?: readonly Transferable[];
}

/** What a method is given in addition to its argument. */
export interface ServedCall<Note> {
  readonly note: (note: Note) => void;
  /** Aborts when the caller no longer wants the result. */
  readonly signal: AbortSignal;
}

export type Handlers<R extends Requests<R>> = {
  readonly [Method in keyof R]: (
    argument: R[Method]["argument"],
    call: ServedCall<NoteOf<R[Method]>>,
  ) => Answer<R[Method]["result"]> | Promise<Answer<R[Method]["result"]>>;
};

/** To the peer. */
export type CallMessage<R> =
  | { readonly kind: "call"; readonly id: number; readonly method: keyof R; readonly argument: unknown }
  | { readonly kind: "abort"; readonly id: number };

/** From the peer. */
export type ReplyMessage =
  | { readonly kind: "value"; readonly id: number; readonly value: unknown }
  | { readonly kind: "note"; readonly id: number; readonly note: unknown }
  | { readonly kind: "error"; readonly id: number; readonly error: WireError };

/** A TrommelError as a message can carry it. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly context: ErrorContext;
  readonly stack: string | undefined;
}

export function toWireError(thrown: unknown): WireError {
  const error = toTrommelError(thrown);
  const { code, message, retryable, context } = error;
  return {
    code,
    message,
    retryable,
    context,
    stack: error.cause instanceof Error ? error.cause.stack : error.stack,
  };
}

export function fromWireError({ code, message, retryable, context, stack }: WireError): TrommelError {
  const error = new TrommelError(code in errorCodes ? code : "internal", message, { retryable, context });
  if (stack !== undefined) error.stack = stack;
  return error;
}

/** The thread or process of a call ended before the result, or was ended because it took too long. Retryable. */
export class PeerEnded extends TrommelError {
  readonly how: "died" | "timed-out";
  /** How it ended, in words. */
  readonly reason: string;

  constructor(how: PeerEnded["how"], reason: string) {
    super(
      how === "died" ? "unavailable" : "timed-out",
      `cannot finish a call to a thread or process of the worker: ${reason}`,
    );
    this.how = how;
    this.reason = reason;
  }
}
