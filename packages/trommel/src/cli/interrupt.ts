import { dieOf, type StopSignal } from "./end-process.js";

/** Within this a command that was asked to stop has ended: its workers drain, and its parts are stopped, in less. */
const endWithinMs = 30_000;

/**
 * Aborts at the first SIGINT or SIGTERM, whose name is the reason. A second one ends the process at once, and so does
 * time: what is waited for meanwhile may never come, such as a call to a file system that does not answer.
 */
export function interruptSignal(options: { readonly endWithinMs?: number } = {}): AbortSignal {
  const { endWithinMs: withinMs = endWithinMs } = options;
  const controller = new AbortController();
  const interrupt = (signal: StopSignal): void => {
    if (controller.signal.aborted) {
      dieOf(signal);
      return;
    }
    process.stderr.write("trommel: stopping; again stops at once\n");
    const late = setTimeout(() => {
      process.stderr.write(
        `trommel: not everything has stopped within ${withinMs / 1000} s of ${signal}; ending without it\n`,
      );
      dieOf(signal);
    }, withinMs);
    late.unref();
    controller.abort(signal);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, interrupt);
  return controller.signal;
}
