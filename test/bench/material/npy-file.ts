import { open, readFile } from "node:fs/promises";

/** A matrix of float32 as numpy.load opens it (NPY 1.0): a magic, the length of a Python dictionary, the dictionary, the values. */
export interface NpyMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array;
}

const magic = "\x93NUMPY\x01\x00";
/** The header is padded so that the values start at a multiple of this. */
const alignment = 64;
const preludeBytes = magic.length + 2;

/** @param data [rows, columns], row-major */
export async function writeNpy(file: string, { rows, columns, data }: NpyMatrix): Promise<void> {
  const words = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${columns}), }`;
  const length = Math.ceil((preludeBytes + words.length + 1) / alignment) * alignment - preludeBytes;
  const header = Buffer.from(`${magic}  ${words.padEnd(length - 1)}\n`, "latin1");
  header.writeUInt16LE(length, magic.length);
  const handle = await open(file, "w");
  try {
    await handle.writeFile(header);
    await handle.writeFile(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  } finally {
    await handle.close();
  }
}

/** Reads what `writeNpy` wrote. */
export async function readNpy(file: string): Promise<NpyMatrix> {
  const bytes = await readFile(file);
  const start = preludeBytes + bytes.readUInt16LE(magic.length);
  const [, rows, columns] = /\((\d+), (\d+)\)/.exec(bytes.toString("latin1", 0, start)) ?? [];
  const data = new Float32Array(bytes.buffer, bytes.byteOffset + start, (bytes.length - start) / 4);
  if (data.length !== Number(rows) * Number(columns)) throw new RangeError(`${file} is cut short`);
  return { rows: Number(rows), columns: Number(columns), data };
}
