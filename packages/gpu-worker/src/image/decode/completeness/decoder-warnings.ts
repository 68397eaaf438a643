import { Duplex } from "node:stream";
import sharp from "sharp";

/**
 * Counts what libvips warns about. sharp reports warnings as events of an instance, but takes them from one queue of the
 * process: a call that ends reports those of all others under way. All instances are therefore counted together.
 */

let count = 0;

const prototype = sharp.prototype as Duplex;
prototype.emit = function (this: Duplex, event: string | symbol, ...values: unknown[]): boolean {
  if (event === "warning") count += 1;
  return Duplex.prototype.emit.call(this, event, ...values);
};

/**
 * Starts to watch. sharp reports a call's warnings before its promise settles, so a call between this one and the function's
 * gave no warning if the function returns false; if it returns true, the call or another one at the same time did.
 */
export function watchWarnings(): () => boolean {
  const before = count;
  return () => count > before;
}
