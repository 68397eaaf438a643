import { parentPort, workerData } from "node:worker_threads";
// By their own files: all of common would take longer to load than the weights to read.
import { fromFloat16 } from "@trommel/common/codec/float16";
import { messageOf } from "@trommel/common/errors";
import { ready } from "h5wasm";
import { H5Fault, H5File, type H5Library } from "./h5-file.js";
import { listKerasWeights } from "./keras-h5-listing.js";
import type { H5Reply, H5Request } from "./keras-h5.js";
import type { FileWeight } from "./weight-file.js";

/**
 * Reads one HDF5 file and ends with it: a fault in the file can at worst end this thread, and the library's memory goes
 * with it. In: the file's bytes, then lists of weights. Out: the list of what is there, then the values.
 */

const port = parentPort;
if (port === null) throw new Error("this file runs on a thread");

try {
  const library = (await ready) as unknown as H5Library;
  const file = new H5File(library, (workerData as { bytes: Uint8Array }).bytes);
  send({ kind: "weights", weights: listKerasWeights(file) });
  port.on("message", ({ weights }: H5Request) => {
    try {
      const values = weights.map((weight) => floats(file, weight));
      send(
        { kind: "values", values },
        values.map(({ buffer }) => buffer),
      );
    } catch (thrown) {
      sendFault(thrown);
    }
  });
} catch (thrown) {
  sendFault(thrown);
}

function floats(file: H5File, { path, shape, dtype }: FileWeight): Float32Array<ArrayBuffer> {
  const count = shape.reduce((product, side) => product * side, 1);
  if (dtype === "float16") return new Float32Array(fromFloat16(new Uint16Array(read(2))));
  if (dtype === "float64") return Float32Array.from(new Float64Array(read(8)));
  return new Float32Array(read(4));

  function read(itemBytes: number): ArrayBuffer {
    return file.bytes(path, count * itemBytes).buffer as ArrayBuffer;
  }
}

function send(reply: H5Reply, transfer: ArrayBuffer[] = []): void {
  port?.postMessage(reply, transfer);
}

/** The library's own exceptions come as errors, as numbers and as traps of WebAssembly: all mean a damaged file. */
function sendFault(thrown: unknown): void {
  const why =
    thrown instanceof H5Fault
      ? thrown.message
      : `its structure is damaged (${messageOf(thrown).slice(0, 200)})`;
  send({ kind: "fault", why });
}
