import { printableArguments } from "@trommel/common/printable";
import { pino, type LogFn, type Logger, type LoggerOptions } from "pino";
import { prettyFactory } from "pino-pretty";
import type { TrommelOptions } from "./options.js";

/** A logger to a stream, or a silent one. */
export function createLogger(log: TrommelOptions["log"]): Logger {
  if (log === undefined) return pino({ level: "silent" });
  const { to, level } = log;
  const options: LoggerOptions = { level, base: null, hooks: { logMethod: logPrintable } };
  if (to.isTTY !== true) return pino(options, to);
  const readable = prettyFactory({ ignore: "pid,hostname,time", colorize: true });
  return pino(options, { write: (line: string) => void to.write(readable(line)) });
}

/** Notices name files. */
function logPrintable(this: Logger, args: Parameters<LogFn>, method: LogFn): void {
  method.apply(this, printableArguments(args) as Parameters<LogFn>);
}
