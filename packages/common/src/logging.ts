import { pino, type LogFn, type Logger } from "pino";
import { prettyFactory } from "pino-pretty";
import { printableArguments } from "./printable.js";

/** A destination of log lines, for example `process.stderr`. */
export interface LogStream {
  readonly write: (line: string) => unknown;
  /** A terminal gets coloured lines for people, everything else JSON lines. */
  readonly isTTY?: boolean;
}

export interface CreateLoggerOptions {
  /** One of pino's levels. */
  readonly level: string;
  /** Fields of every line; null for none. */
  readonly base: Readonly<Record<string, unknown>> | null;
  readonly stream: LogStream;
}

/** The logger of a process. Control characters in its arguments, such as those of file names, are escaped. */
export function createLogger({ level, base, stream }: CreateLoggerOptions): Logger {
  const options = { level, base: base === null ? null : { ...base }, hooks: { logMethod: logPrintable } };
  if (stream.isTTY !== true) return pino(options, { write: (line) => void stream.write(line) });
  const readable = prettyFactory({ ignore: "pid,hostname,time", colorize: true });
  return pino(options, { write: (line) => void stream.write(readable(line)) });
}

function logPrintable(this: Logger, args: Parameters<LogFn>, method: LogFn): void {
  method.apply(this, printableArguments(args) as Parameters<LogFn>);
}
