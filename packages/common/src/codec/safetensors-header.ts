import { z } from "zod";
import { messageOf, TrommelError } from "../errors.js";
import { arrayTypes, isTensorDtype, type TensorDtype } from "./tensor-dtype.js";

/** The header of a safetensors file, held to the format's rules before anything is read through it. */

export interface TensorEntry {
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  /** Start and end of its bytes, counted from the end of the header. */
  readonly start: number;
  readonly end: number;
}

export interface Header {
  /** In file order. */
  readonly entries: readonly TensorEntry[];
  readonly metadata: Readonly<Record<string, string>>;
  /** The offset of the tensors' bytes in the file. */
  readonly dataStart: number;
}

const lengthBytes = 8;
/** The reference implementation's own bound. */
const maxHeaderBytes = 100_000_000;

const offset = z.int().nonnegative();
const entrySchema = z
  .object({ dtype: z.string(), shape: z.array(offset).max(64), data_offsets: z.tuple([offset, offset]) })
  .strict();
const metadataSchema = z.record(z.string(), z.string());

/**
 * @param bytes of the file from its beginning, at least all of its header
 * @param fileBytes of the whole file
 * @throws TrommelError `corrupt`, or `unsupported` for an unknown dtype
 */
export function parseHeader(bytes: Uint8Array, name: string, fileBytes = bytes.byteLength): Header {
  const headerBytes = readLength(bytes, name);
  const dataStart = lengthBytes + headerBytes;
  const members = parseMembers(bytes.subarray(lengthBytes, dataStart), name);
  const entries: TensorEntry[] = [];
  let metadata: Readonly<Record<string, string>> = {};
  for (const [key, value] of members) {
    if (key === "__metadata__") metadata = parseMetadata(value, name);
    else entries.push(parseEntry(key, value, name));
  }
  entries.sort((left, right) => left.start - right.start || left.end - right.end);
  checkContiguous(entries, fileBytes - dataStart, name);
  return { entries, metadata, dataStart };
}

function readLength(bytes: Uint8Array, name: string): number {
  if (bytes.byteLength < lengthBytes) throw corrupt(name, `it has ${bytes.byteLength} bytes, fewer than 8`);
  const stated = new DataView(bytes.buffer, bytes.byteOffset, lengthBytes).getBigUint64(0, true);
  const available = Math.min(bytes.byteLength - lengthBytes, maxHeaderBytes);
  if (stated > BigInt(available))
    throw corrupt(name, `its header says ${stated} bytes, at most ${available} can be`);
  return Number(stated);
}

function parseMembers(header: Uint8Array, name: string): [string, unknown][] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(header));
  } catch (thrown) {
    throw corrupt(name, `its header is not JSON (${messageOf(thrown)})`);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw corrupt(name, "its header is not a JSON object");
  }
  return Object.entries(parsed);
}

function parseMetadata(value: unknown, name: string): Readonly<Record<string, string>> {
  const parsed = metadataSchema.safeParse(value);
  if (!parsed.success) throw corrupt(name, "its __metadata__ is not a map of texts to texts");
  return parsed.data;
}

function parseEntry(key: string, value: unknown, name: string): TensorEntry {
  const parsed = entrySchema.safeParse(value);
  if (!parsed.success)
    throw corrupt(name, `the entry of tensor '${key}' is not {dtype, shape, data_offsets}`);
  const { dtype, shape, data_offsets } = parsed.data;
  const [start, end] = data_offsets;
  if (!isTensorDtype(dtype)) {
    const legal = Object.keys(arrayTypes).join(", ");
    throw new TrommelError(
      "unsupported",
      `cannot decode ${name} as safetensors: tensor '${key}' has the dtype '${dtype}'. Legal ones are ${legal}`,
    );
  }
  const sizeBytes = shape.reduce((product, side) => product * side, arrayTypes[dtype].BYTES_PER_ELEMENT);
  if (end - start !== sizeBytes) {
    throw corrupt(name, `tensor '${key}', ${dtype} [${shape.join(", ")}], lies at ${start} to ${end}`);
  }
  return { name: key, dtype, shape, start, end };
}

/** The format allows neither gaps nor overlaps nor bytes after the last tensor. */
function checkContiguous(entries: readonly TensorEntry[], dataBytes: number, name: string): void {
  let at = 0;
  for (const entry of entries) {
    if (entry.start !== at)
      throw corrupt(name, `tensor '${entry.name}' begins at ${entry.start} instead of ${at}`);
    at = entry.end;
  }
  if (at !== dataBytes)
    throw corrupt(name, `its tensors have ${at} bytes, and ${dataBytes} follow the header`);
}

function corrupt(name: string, reason: string): TrommelError {
  return new TrommelError("corrupt", `cannot decode ${name} as safetensors: ${reason}. Make the file again`);
}
