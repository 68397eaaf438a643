import { randomInt } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { TrommelError } from "../errors.js";

/** Readings of an artefact that seems damaged: most damage happens on the way. */
const readings = 3;
const firstRereadDelayMs = 100;

/** Wrong bytes that the store itself returned as complete. */
export function isDamage(thrown: unknown): thrown is TrommelError {
  return thrown instanceof TrommelError && thrown.code === "corrupt" && thrown.context["damaged"] === true;
}

/** What a body holds, or undefined if it cannot be read: for those who then do without it. */
export function unlessCorrupt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof TrommelError && thrown.code === "corrupt") return undefined;
    throw thrown;
  }
}

/** Repeats a reading that found damage, which may be from the transfer or from a writer that is about to correct it. */
export async function rereading<T>(read: () => Promise<T>): Promise<T> {
  for (let reading = 1; ; reading += 1) {
    try {
      return await read();
    } catch (thrown) {
      if (!isDamage(thrown) || reading === readings) throw thrown;
      await pause(reading);
    }
  }
}

/** Waits longer each time, with a random part. */
export async function pause(time: number): Promise<void> {
  const wholeMs = firstRereadDelayMs * 2 ** (time - 1);
  await setTimeout(wholeMs / 2 + randomInt(Math.ceil(wholeMs / 2)));
}

export async function unlessDamaged<T>(reading: Promise<T>): Promise<T | "damaged"> {
  try {
    return await reading;
  } catch (thrown) {
    if (isDamage(thrown)) return "damaged";
    throw thrown;
  }
}
