import { Worker } from "node:worker_threads";
import { TrommelError } from "@trommel/common";
import { readableDtypes, type FileWeight, type WeightFile } from "./weight-file.js";

/** To the reading thread. */
export interface H5Request {
  readonly weights: readonly FileWeight[];
}

/** From the reading thread. */
export type H5Reply =
  | { readonly kind: "weights"; readonly weights: readonly FileWeight[] }
  | { readonly kind: "values"; readonly values: Float32Array[] }
  | { readonly kind: "fault"; readonly why: string };

/** EfficientNet-B7 with its classifier and an optimiser's state has 800 MB. */
const maxFileBytes = 2 ** 30;
const signature = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];

export function isHdf5(bytes: Uint8Array): boolean {
  return signature.every((byte, index) => bytes[index] === byte);
}

/**
 * Opens a Keras weight file or a whole Keras model in the legacy HDF5 format. The file is read on a thread of its own,
 * which dies with {@link WeightFile.close}: HDF5's C library was not written for files that mean harm.
 * @param options.timeoutMs for listing and for reading, each. @default 120000
 * @throws TrommelError `corrupt`, naming the file, `too-large` above 1 GiB
 */
export async function openKerasH5(
  bytes: Uint8Array,
  url: string,
  options: { readonly timeoutMs?: number } = {},
): Promise<WeightFile> {
  if (bytes.byteLength > maxFileBytes) {
    throw new TrommelError(
      "too-large",
      `failed to read ${url}: it has ${bytes.byteLength} bytes, and a file of Keras weights has at most ${maxFileBytes}.`,
    );
  }
  const thread = new ReadingThread(bytes, url, options.timeoutMs ?? 120_000);
  try {
    const reply = await thread.reply();
    if (reply.kind !== "weights") throw corrupt(url, "its reader answers out of turn");
    const read = async (weights: readonly FileWeight[]): Promise<Float32Array[]> => {
      requireReadable(weights, url);
      const answer = await thread.ask({ weights });
      return answer.kind === "values" ? answer.values : [];
    };
    return { url, weights: reply.weights, ordered: true, read, close: () => thread.end() };
  } catch (thrown) {
    await thread.end();
    throw thrown;
  }
}

function requireReadable(weights: readonly FileWeight[], url: string): void {
  const odd = weights.find(({ dtype }) => !readableDtypes.includes(dtype));
  if (odd === undefined) return;
  throw new TrommelError(
    "unsupported",
    `failed to read ${url}: ${odd.path} holds ${odd.dtype}, and legal are ${readableDtypes.join(", ")}.`,
  );
}

class ReadingThread {
  readonly #thread: Worker;
  readonly #url: string;
  readonly #timeoutMs: number;

  constructor(bytes: Uint8Array, url: string, timeoutMs: number) {
    // stdout and stderr are taken and left unread: HDF5 prints its stack of errors, and the fault says enough.
    const copy = new Uint8Array(bytes);
    this.#thread = new Worker(new URL("./keras-h5-thread.js", import.meta.url), {
      workerData: { bytes: copy },
      transferList: [copy.buffer],
      stdout: true,
      stderr: true,
      execArgv: [],
    });
    this.#thread.stdout.resume();
    this.#thread.stderr.resume();
    this.#url = url;
    this.#timeoutMs = timeoutMs;
  }

  ask(request: H5Request): Promise<H5Reply> {
    const reply = this.reply();
    this.#thread.postMessage(request);
    return reply;
  }

  /** The thread's next message. */
  reply(): Promise<H5Reply> {
    const thread = this.#thread;
    return new Promise<H5Reply>((resolve, reject) => {
      const settle = (end: () => void): void => {
        clearTimeout(timer);
        thread.removeAllListeners("message").removeAllListeners("error").removeAllListeners("exit");
        // An error after the answer has nobody to tell, and must not end the process.
        thread.on("error", () => undefined);
        end();
      };
      const fail = (why: string): void => settle(() => reject(corrupt(this.#url, why)));
      const timer = setTimeout(
        () => fail(`its reader did not come to an end in ${this.#timeoutMs} ms`),
        this.#timeoutMs,
      );
      thread.on("message", (reply: H5Reply) => {
        if (reply.kind === "fault") fail(reply.why);
        else settle(() => resolve(reply));
      });
      thread.on("error", (thrown) => fail(`its reader stopped (${String(thrown).slice(0, 200)})`));
      thread.on("exit", () => fail("its reader stopped"));
    });
  }

  async end(): Promise<void> {
    await this.#thread.terminate();
  }
}

function corrupt(url: string, why: string): TrommelError {
  return new TrommelError(
    "corrupt",
    `failed to read ${url} as a Keras HDF5 file: ${why}. Fetch the file again, or save it again.`,
    { context: { url } },
  );
}
