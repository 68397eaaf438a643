import { createLogger as createStreamLogger } from "@trommel/common/logging";
import { pino, type Logger } from "pino";
import type { TrommelOptions } from "./options.js";

/** A logger to a stream, or a silent one. */
export function createLogger(log: TrommelOptions["log"]): Logger {
  if (log === undefined) return pino({ level: "silent" });
  return createStreamLogger({ level: log.level, base: null, stream: log.to });
}
