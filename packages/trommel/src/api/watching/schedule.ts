import { setTimeout as sleep } from "node:timers/promises";
import { messageOf, TrommelError } from "@trommel/common";
import { Cron } from "croner";

/** When a source is looked at again. */
export interface Schedule {
  /** The first tick after a moment. */
  next(after: Date): Date;
}

/** Timers take no longer times than 2³¹ milliseconds. */
const sleepAtMostMs = 86_400_000;

/**
 * Seconds from one tick to the next, counted from `start`, or a cron expression in the time of this machine.
 * @throws TrommelError `invalid-argument` for what is neither, and for an expression that has no tick any more
 */
export function parseSchedule(every: number | string, start: Date): Schedule {
  const seconds = typeof every === "number" || /^[\d.]+$/.test(every.trim()) ? Number(every) : undefined;
  if (seconds === undefined) return cronSchedule(String(every), start);
  if (!(Number.isInteger(seconds) && seconds > 0)) throw refused(every, "it is no whole number of seconds");
  const intervalMs = seconds * 1000;
  return {
    next: (after) => {
      const passed = Math.floor((after.getTime() - start.getTime()) / intervalMs);
      return new Date(start.getTime() + (Math.max(0, passed) + 1) * intervalMs);
    },
  };
}

function cronSchedule(expression: string, start: Date): Schedule {
  let cron: Cron;
  try {
    cron = new Cron(expression);
  } catch (thrown) {
    throw refused(expression, messageOf(thrown));
  }
  const next = (after: Date): Date => {
    const tick = cron.nextRun(after);
    if (tick === null) throw refused(expression, "it has no tick any more");
    return tick;
  };
  next(start);
  return { next };
}

function refused(every: number | string, why: string): TrommelError {
  return new TrommelError(
    "invalid-argument",
    `cannot watch every ${JSON.stringify(every)}: ${why}. Give seconds, such as 60, or a cron expression, such as "*/5 * * * *"`,
  );
}

/** @throws the signal's reason once it aborts */
export async function sleepUntil(moment: Date, signal: AbortSignal): Promise<void> {
  for (;;) {
    const restMs = moment.getTime() - Date.now();
    if (restMs <= 0) return;
    await sleep(Math.min(restMs, sleepAtMostMs), undefined, { signal });
  }
}
