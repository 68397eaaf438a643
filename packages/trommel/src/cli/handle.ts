import { toTrommelError, TrommelError, openTrommel } from "../index.js";
import type { Device, EngineName, LogLevel, Trommel } from "../index.js";
import type { Terminal } from "./terminal.js";

/** Flags that every command takes. */
export interface GlobalFlags {
  readonly store: string;
  readonly redis?: string;
  readonly json?: boolean;
  readonly logLevel: LogLevel;
}

/** Flags of commands that may start workers of their own. */
export interface ClusterFlags {
  readonly workers?: number;
  readonly threads?: number;
  readonly device?: Device;
  readonly engine?: EngineName;
  readonly concurrency?: number;
  /** Views on the device at once. */
  readonly batch?: number;
  /** MiB. */
  readonly bytesInFlight?: number;
  /** MiB. */
  readonly pixelsInFlight?: number;
}

/** What a command's handle is opened with. */
export function trommelOptions(terminal: Terminal, flags: GlobalFlags & ClusterFlags) {
  const { io } = terminal;
  return {
    store: flags.store,
    redis: flags.redis,
    folder: io.cwd,
    env: io.env,
    log: { to: io.stderr, level: flags.logLevel },
    onNotice: (line: string) => terminal.note(line),
    workerOutput: io.workerOutput ?? ((text: string) => void io.stderr.write(text)),
    workers: flags.workers,
    threads: flags.threads,
    device: flags.device,
    engine: flags.engine,
    concurrency: flags.concurrency,
    viewsPerBatch: flags.batch,
    bytesInFlightMib: flags.bytesInFlight,
    pixelsInFlightMib: flags.pixelsInFlight,
  } as const;
}

/** Runs a command with a handle of its own. */
export async function withTrommel(
  terminal: Terminal,
  flags: GlobalFlags,
  use: (trommel: Trommel) => Promise<void>,
): Promise<void> {
  const trommel = await openTrommel({
    ...trommelOptions(terminal, { store: flags.store, logLevel: flags.logLevel }),
    redis: flags.redis,
  });
  try {
    await use(trommel);
  } finally {
    await trommel.close();
  }
}

/**
 * Runs a command that Ctrl-C and SIGTERM stop in order: its handle is closed then, which keeps what is done.
 * @throws TrommelError `cancelled` with the signal as `context.interrupted`
 */
export async function withInterrupts(
  terminal: Terminal,
  flags: GlobalFlags & ClusterFlags,
  use: (trommel: Trommel, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const signal = terminal.interrupts();
  const trommel = await openTrommel({ ...trommelOptions(terminal, flags), signal });
  try {
    await use(trommel, signal);
  } catch (thrown) {
    throw signal.aborted ? interruptedBy(signal, toTrommelError(thrown)) : thrown;
  } finally {
    await trommel.close();
  }
}

/** An error of a call that was given up says nothing of the signal. */
function interruptedBy(signal: AbortSignal, error: TrommelError): TrommelError {
  if (error.code !== "cancelled" || error.context["interrupted"] !== undefined) return error;
  const interrupted = signal.reason === "SIGTERM" ? "SIGTERM" : "SIGINT";
  return new TrommelError("cancelled", "stopped before anything was queued", { context: { interrupted } });
}
