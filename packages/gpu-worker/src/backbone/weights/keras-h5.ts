import { messageOf, TrommelError } from "@trommel/common";
import { startThread, type Peer } from "../../rpc/peer.js";
import { PeerEnded } from "../../rpc/protocol.js";
import { readableDtypes, type FileWeight, type WeightFile } from "./weight-file.js";

/** What the reading thread does. It throws `corrupt` with what is wrong with the file. */
export interface H5Requests {
  /** Opens the file and lists what is there; first, and once. */
  readonly open: { readonly argument: Uint8Array; readonly result: readonly FileWeight[] };
  /** Float32 values of each weight, row-major. */
  readonly read: { readonly argument: readonly FileWeight[]; readonly result: Float32Array[] };
}

/** EfficientNet-B7 with its classifier and an optimiser's state has 800 MB. */
const maxFileBytes = 2 ** 30;
const signature = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];

export function isHdf5(bytes: Uint8Array): boolean {
  return signature.every((byte, index) => bytes[index] === byte);
}

/**
 * Opens a Keras weight file or a whole Keras model in the legacy HDF5 format. The file is read on a thread of its own,
 * which ends with {@link WeightFile.close}: HDF5's C library was not written for malicious files.
 * @param options.timeoutMs for listing and for reading, each. @default 120000
 * @throws TrommelError `corrupt`, naming the file, `too-large` above 1 GiB
 */
export async function openKerasH5(
  bytes: Uint8Array,
  url: string,
  options: { readonly timeoutMs?: number } = {},
): Promise<WeightFile> {
  const { timeoutMs = 120_000 } = options;
  if (bytes.byteLength > maxFileBytes) {
    throw new TrommelError(
      "too-large",
      `cannot read ${url}: it has ${bytes.byteLength} bytes, and a file of Keras weights has at most ${maxFileBytes}`,
    );
  }
  // Quiet: HDF5 prints its stack of errors, and what the thread throws says enough.
  const entry = new URL("./keras-h5-thread.js", import.meta.url);
  const thread: Peer<H5Requests> = startThread(entry, null, { isQuiet: true });
  const close = (): Promise<void> => thread.end();
  try {
    const copy = new Uint8Array(bytes);
    const weights = await thread.call("open", copy, { timeoutMs, transfer: [copy.buffer] });
    const read = async (wanted: readonly FileWeight[]): Promise<Float32Array[]> => {
      requireReadable(wanted, url);
      try {
        return await thread.call("read", wanted, { timeoutMs });
      } catch (thrown) {
        throw unreadable(url, thrown);
      }
    };
    return { url, weights, ordered: true, read, close };
  } catch (thrown) {
    await close();
    throw unreadable(url, thrown);
  }
}

function requireReadable(weights: readonly FileWeight[], url: string): void {
  const odd = weights.find(({ dtype }) => !readableDtypes.includes(dtype));
  if (odd === undefined) return;
  throw new TrommelError(
    "unsupported",
    `cannot read ${url}: ${odd.path} holds ${odd.dtype}, and legal are ${readableDtypes.join(", ")}`,
  );
}

function unreadable(url: string, thrown: unknown): TrommelError {
  const why =
    thrown instanceof PeerEnded ? `its reader stopped (${thrown.reason.slice(0, 200)})` : messageOf(thrown);
  return new TrommelError(
    "corrupt",
    `cannot read ${url} as a Keras HDF5 file: ${why}. Fetch the file again, or save it again`,
    { context: { url } },
  );
}
