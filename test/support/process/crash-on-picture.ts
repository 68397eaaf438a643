import sharp from "sharp";
import { crashMarks } from "./crash-marks.js";

/** A preload (`node --import`) for processes that decode: a picture that ends in a mark takes its process down. */

interface Decoding {
  readonly options: { readonly input: { readonly buffer?: Buffer } };
}

type ToBuffer = (this: Decoding, ...parameters: unknown[]) => Promise<unknown>;

const isDisposable = process.argv[1]?.endsWith("decode-process.js") === true;
const prototype = sharp.prototype as unknown as { toBuffer: ToBuffer };
const toBuffer = prototype.toBuffer;

prototype.toBuffer = async function (...parameters) {
  const { buffer } = this.options.input;
  const has = (mark: string): boolean => buffer?.subarray(-mark.length).toString("latin1") === mark;
  if (has(crashMarks.abort)) process.abort();
  if (has(crashMarks.killAll) && isDisposable) process.kill(process.ppid, "SIGKILL");
  if (has(crashMarks.kill) || has(crashMarks.killAll)) process.kill(process.pid, "SIGKILL");
  if (has(crashMarks.freeze)) for (;;);
  if (has(crashMarks.hang)) return await new Promise(() => undefined);
  return await toBuffer.apply(this, parameters);
};
