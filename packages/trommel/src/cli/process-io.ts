import type { CommandIo } from "./terminal.js";
import { interruptSignal } from "./interrupt.js";

/** This process as a command's surroundings. */
export function processIo(args: readonly string[]): CommandIo {
  const send = process.send?.bind(process);
  const isPart = args.includes("--embedded") && process.connected && send !== undefined;
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    interrupts: interruptSignal,
    workerOutput: "inherit",
    parent: isPart
      ? { send: (message) => new Promise<void>((sent) => void send(message, () => sent())) }
      : undefined,
  };
}
