import { messageOf } from "@trommel/common/errors";
import { decodeImage, type DecodedImage, type ResolvedDecodeRecipe } from "./decode-image.js";

/**
 * The entry of a disposable process: decodes one file after another for the worker that started it. If a file makes
 * libvips crash or hang, this process is what is lost.
 */

export interface DecodeRequest {
  readonly bytes: Uint8Array;
  readonly recipe: ResolvedDecodeRecipe;
  /** How long the decoder may take, as where it runs in the worker. */
  readonly timeoutMs: number;
}

export type DecodeReply =
  | { readonly kind: "ready" }
  | { readonly kind: "decoded"; readonly image: DecodedImage }
  /** A broken decoder or recipe, which is no file's fault. */
  | { readonly kind: "failed"; readonly message: string };

if (process.send !== undefined) {
  // A Ctrl-C at a terminal and some service managers signal the whole group. The worker decides when we end, or else
  // it would take our end for a crash.
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", () => undefined);
  // At once, for a decoder that hangs would keep an exit waiting.
  process.once("disconnect", () => process.kill(process.pid, "SIGKILL"));
  process.on("message", (request: DecodeRequest) => void answer(request));
  tell({ kind: "ready" });
}

async function answer({ bytes, recipe, timeoutMs }: DecodeRequest): Promise<void> {
  try {
    tell({ kind: "decoded", image: await decodeImage(bytes, recipe, timeoutMs) });
  } catch (thrown) {
    tell({ kind: "failed", message: messageOf(thrown) });
  }
}

function tell(reply: DecodeReply): void {
  // A worker that is gone cannot be told; the channel's end ends us.
  process.send?.(reply, undefined, undefined, () => undefined);
}
