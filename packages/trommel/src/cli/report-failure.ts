import { toTrommelError } from "@trommel/common";
import { printable } from "@trommel/common/printable";
import { CommanderError } from "commander";

/** Tells of what ended a command. @returns its exit code: 130 or 143 where SIGINT or SIGTERM stopped it, else see `main` */
export async function reportFailure(thrown: unknown, args: readonly string[]): Promise<number> {
  const json = args.includes("--json");
  const embedded = args.includes("--embedded");
  // Commander has printed its own message, and --help and --version end here with 0.
  if (thrown instanceof CommanderError) {
    if (thrown.exitCode === 0) return 0;
    if (json)
      process.stdout.write(
        `${printable(JSON.stringify({ error: { code: "invalid-argument", message: thrown.message } }))}\n`,
      );
    return 2;
  }
  const error = toTrommelError(thrown);
  const { interrupted } = error.context;
  if (error.code === "cancelled" && (interrupted === "SIGINT" || interrupted === "SIGTERM")) {
    tell(error.message);
    return interrupted === "SIGINT" ? 130 : 143;
  }
  const exitCode = error.code === "invalid-argument" || error.code === "device-unavailable" ? 2 : 1;
  // A worker of a local cluster leaves the telling to the command that started it.
  if (embedded && process.connected) {
    await new Promise((sent) => process.send?.({ error: error.toJSON() }, sent));
    return exitCode;
  }
  if (json) process.stdout.write(`${printable(JSON.stringify({ error: error.toJSON() }))}\n`);
  tell(error.message);
  if (error.code === "internal" && error.cause instanceof Error)
    process.stderr.write(`${printable(error.cause.stack ?? "", { lines: true })}\n`);
  return exitCode;
}

/** An error for people, on one line unless it has its own. */
export function tell(message: string): void {
  process.stderr.write(`trommel: ${printable(message, { lines: true })}\n`);
}
