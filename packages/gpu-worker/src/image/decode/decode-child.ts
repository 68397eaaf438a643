import { messageOf, TrommelError } from "@trommel/common";
import { startProcess, type Peer } from "../../rpc/peer.js";
import { PeerEnded } from "../../rpc/protocol.js";
import type { DecodedImage } from "./decode-image.js";
import type { DecodeRequest, DecodeRequests } from "./decode-process.js";

/** Starts in a row that fail before the machine is considered to be at fault. */
const startsAtMost = 3;
/** A process that does not keep the decoder's own bound is killed after so many times that. */
const boundsAtMost = 2;
/** How long a process may take to come up. */
const startTimeoutMs = 60_000;

export type ChildOutcome =
  | { readonly kind: "decoded"; readonly image: DecodedImage }
  /** The process ended while it had the file. */
  | { readonly kind: "died" }
  /** It did not even answer that the file takes too long, and was killed. */
  | { readonly kind: "timed-out" };

/** A process that decodes one file at a time, started when it is needed and again after each that ended. */
export class DecodeChild {
  #child: Peer<DecodeRequests> | undefined;
  #stopped: Error | undefined;

  /**
   * @param before called when the process is ready, right before it is given the file
   * @throws TrommelError `exhausted`, retryable, if no process can be started; `internal` if the decoder itself is
   *   broken; what `stop` was given
   */
  async decode(request: DecodeRequest, before: () => Promise<void>): Promise<ChildOutcome> {
    const child = await this.#ready();
    await before();
    this.#throwIfStopped();
    const outcome = await askChild(child, request).catch((thrown: unknown) => {
      this.#throwIfStopped();
      throw new TrommelError("internal", messageOf(thrown), { cause: thrown });
    });
    this.#throwIfStopped();
    return outcome;
  }

  /** Kills the process. @param reason what a call under way throws */
  async stop(reason: Error): Promise<void> {
    this.#stopped ??= reason;
    await this.#child?.end();
  }

  async #ready(): Promise<Peer<DecodeRequests>> {
    for (let starts = 0; starts < startsAtMost; starts += 1) {
      this.#throwIfStopped();
      if (this.#child?.isRunning === true) return this.#child;
      const child: Peer<DecodeRequests> = startProcess(entry, withoutCredentials(process.env));
      this.#child = child;
      const isReady = await orEnded(child, child.call("ready", null, { timeoutMs: startTimeoutMs }));
      this.#throwIfStopped();
      if (!(isReady instanceof PeerEnded)) return child;
    }
    throw new TrommelError(
      "exhausted",
      `cannot start a process that decodes: ${startsAtMost} ended before they were ready. Check that the machine has memory and processes left`,
    );
  }

  #throwIfStopped(): void {
    if (this.#stopped !== undefined) throw this.#stopped;
  }
}

const entry = new URL("./decode-process.js", import.meta.url);

async function askChild(child: Peer<DecodeRequests>, request: DecodeRequest): Promise<ChildOutcome> {
  const timeoutMs = boundsAtMost * request.timeoutMs;
  const image = await orEnded(child, child.call("decode", request, { timeoutMs }));
  if (image instanceof PeerEnded) return { kind: image.how };
  // A thread of it still has the file.
  if (!image.ok && image.reason === "timed-out") await child.end();
  return { kind: "decoded", image };
}

/** The result of a call, or how its process ended; then it has ended when this resolves, so that none is left behind. */
async function orEnded<T>(child: Peer<DecodeRequests>, call: Promise<T>): Promise<T | PeerEnded> {
  try {
    return await call;
  } catch (thrown) {
    if (!(thrown instanceof PeerEnded)) throw thrown;
    await child.end();
    return thrown;
  }
}

/** A process that reads hostile files needs no keys to a bucket. */
function withoutCredentials(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(AWS|TROMMEL)_/.test(name)));
}
