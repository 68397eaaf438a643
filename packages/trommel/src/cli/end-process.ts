/**
 * Ends this process although threads of its pool may hang in the file system. exit(3) waits for those threads, without
 * a bound when a mount does not answer; a signal's default action waits for nothing.
 */

export type StopSignal = "SIGINT" | "SIGTERM";

/** Runs what was to be done at exit, then dies of the signal, as its sender expects (128 + its number). */
export function dieOf(signal: StopSignal | "SIGKILL"): void {
  process.emit("exit", process.exitCode === undefined ? 1 : Number(process.exitCode));
  if (signal !== "SIGKILL") process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}

/** Ends with the exit code that is set, or by SIGKILL where a call to the file system does not come back. */
export function endProcess(): void {
  if (process.getActiveResourcesInfo().some((name) => name.startsWith("FSReq"))) dieOf("SIGKILL");
  else process.exit();
}
