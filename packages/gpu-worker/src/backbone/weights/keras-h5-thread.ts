// By their own files: all of common would take longer to load than the weights to read.
import { fromFloat16 } from "@trommel/common/codec";
import { messageOf, TrommelError } from "@trommel/common/errors";
import { ready } from "h5wasm";
import { serveThread } from "../../rpc/serve.js";
import { H5Fault, H5File, type H5Library } from "./h5-file.js";
import { listKerasWeights } from "./keras-h5-listing.js";
import type { H5Requests } from "./keras-h5.js";
import type { FileWeight } from "./weight-file.js";

/**
 * Reads one HDF5 file and ends with it: a fault in the file can at worst end this thread, and the library's memory is
 * freed with it.
 */

serveThread<H5Requests>(() => {
  let file: H5File | undefined;
  return {
    open: async (bytes) => {
      const library = (await ready) as unknown as H5Library;
      return orDamage(() => {
        file = new H5File(library, bytes);
        return { value: listKerasWeights(file) };
      });
    },
    read: (weights) =>
      orDamage(() => {
        const from = file;
        if (from === undefined) throw new H5Fault("it was never opened");
        const values = weights.map((weight) => floats(from, weight));
        return { value: values, transfer: values.map(({ buffer }) => buffer) };
      }),
  };
});

function floats(file: H5File, { path, shape, dtype }: FileWeight): Float32Array<ArrayBuffer> {
  const count = shape.reduce((product, side) => product * side, 1);
  if (dtype === "float16") return new Float32Array(fromFloat16(new Uint16Array(read(2))));
  if (dtype === "float64") return Float32Array.from(new Float64Array(read(8)));
  return new Float32Array(read(4));

  function read(itemBytes: number): ArrayBuffer {
    return file.bytes(path, count * itemBytes).buffer as ArrayBuffer;
  }
}

/** The library's own exceptions come as errors, as numbers and as traps of WebAssembly: all mean a damaged file. */
function orDamage<T>(read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    const why =
      thrown instanceof H5Fault
        ? thrown.message
        : `its structure is damaged (${messageOf(thrown).slice(0, 200)})`;
    throw new TrommelError("corrupt", why);
  }
}
