import { serveProcess } from "../../rpc/serve.js";
import { decodeImage, type DecodedImage, type ResolvedDecodeRecipe } from "./decode-image.js";

/**
 * The entry of a disposable process: decodes one file after another for the worker that started it. If a file makes
 * libvips crash or hang, only this process is lost.
 */

export interface DecodeRequest {
  readonly bytes: Uint8Array;
  readonly recipe: ResolvedDecodeRecipe;
  /** How long the decoder may take, as it may inside the worker. */
  readonly timeoutMs: number;
}

/** An error means that the decoder or the recipe is broken, which is no file's fault. */
export interface DecodeRequests {
  /** Answers as soon as the process can decode. */
  readonly ready: { readonly argument: null; readonly result: null };
  readonly decode: { readonly argument: DecodeRequest; readonly result: DecodedImage };
}

serveProcess<DecodeRequests>(() => {
  // A Ctrl-C at a terminal and some service managers signal the whole group. The worker decides when we end: it would
  // take an end of our own for a crash.
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", () => undefined);
  // At once: a decoder that hangs would delay an exit.
  process.once("disconnect", () => process.kill(process.pid, "SIGKILL"));
  return {
    ready: () => ({ value: null }),
    decode: async ({ bytes, recipe, timeoutMs }) => ({ value: await decodeImage(bytes, recipe, timeoutMs) }),
  };
});
