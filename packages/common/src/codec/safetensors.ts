import { endianness } from "node:os";
import { TrommelError } from "../errors.js";
import { parseHeader, type TensorEntry } from "./safetensors-header.js";
import { arrayTypes, type Tensor, type TensorDtype } from "./tensor-dtype.js";

/**
 * The safetensors format (github.com/huggingface/safetensors, "Format"): eight bytes of little-endian header length,
 * a JSON header, then the tensors' bytes without gaps. `safetensors.numpy.load_file` opens what this writes.
 */

export interface Safetensors {
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface DecodeOptions {
  /** Bound on the whole file. @default 2 GiB */
  readonly maxBytes?: number;
  /** What errors call the file. @default "the bytes" */
  readonly name?: string;
}

const defaultMaxBytes = 2 * 1024 ** 3;
const lengthBytes = 8;
/** The header is padded to a multiple of this, so that data begins aligned for every dtype. */
const alignmentBytes = 8;

/**
 * Encodes tensors: the same ones give the same bytes. They lie in order of falling element size and then of name, as
 * the reference implementation lays them out, so that each begins at a multiple of its element size.
 * @throws TrommelError `internal` where a shape does not fit its data, or a name is `__metadata__`
 */
export function encodeSafetensors(file: {
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly metadata?: Readonly<Record<string, string>>;
}): Uint8Array {
  requireLittleEndian();
  const named = Object.entries(file.tensors).sort(inFileOrder);
  const metadata = Object.entries(file.metadata ?? {}).sort(byName);
  // Built as text, because an object would put names that look like numbers first.
  const members = metadata.length === 0 ? [] : [`"__metadata__":${jsonObject(metadata)}`];
  let offset = 0;
  for (const [name, tensor] of named) {
    checkTensor(name, tensor);
    const end = offset + tensor.data.byteLength;
    const entry = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [offset, end] };
    members.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    offset = end;
  }
  const header = padded(new TextEncoder().encode(`{${members.join(",")}}`));
  const bytes = new Uint8Array(lengthBytes + header.byteLength + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.byteLength), true);
  bytes.set(header, lengthBytes);
  let at = lengthBytes + header.byteLength;
  for (const [, { data }] of named) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/**
 * Decodes a file. The tensors are views of `bytes` where their place in memory is aligned, copies otherwise.
 * @throws TrommelError `too-large` above `maxBytes`, `corrupt` where the bytes are not a whole and valid file,
 *   `unsupported` for a dtype that Trommel does not handle
 */
export function decodeSafetensors(bytes: Uint8Array, options: DecodeOptions = {}): Safetensors {
  requireLittleEndian();
  const name = options.name ?? "the bytes";
  const maxBytes = options.maxBytes ?? defaultMaxBytes;
  if (bytes.byteLength > maxBytes) {
    throw new TrommelError(
      "too-large",
      `cannot decode ${name} as safetensors: it has ${bytes.byteLength} bytes, at most ${maxBytes} are allowed. ` +
        `Raise the bound or check the file`,
    );
  }
  const { entries, metadata, dataStart } = parseHeader(bytes, name);
  const tensors = nullRecord<Tensor>();
  for (const entry of entries) tensors[entry.name] = viewOf(bytes, dataStart, entry);
  return { tensors, metadata };
}

/** The tensor of one name, dtype and rank, for readers that know what their file holds. */
export function requireTensor<Dtype extends TensorDtype>(
  file: Safetensors,
  name: string,
  dtype: Dtype,
  rank: number,
): Extract<Tensor, { dtype: Dtype }> {
  const tensor = file.tensors[name];
  if (tensor !== undefined && tensor.dtype === dtype && tensor.shape.length === rank) {
    return tensor as Extract<Tensor, { dtype: Dtype }>;
  }
  const found = tensor === undefined ? "is not there" : `is ${tensor.dtype} [${tensor.shape.join(", ")}]`;
  throw new TrommelError(
    "corrupt",
    `cannot read the tensor '${name}': it ${found}, and has to be ${dtype} of rank ${rank}. Make the file again`,
  );
}

function viewOf(bytes: Uint8Array, dataStart: number, entry: TensorEntry): Tensor {
  const type = arrayTypes[entry.dtype];
  const start = bytes.byteOffset + dataStart + entry.start;
  const length = (entry.end - entry.start) / type.BYTES_PER_ELEMENT;
  const data =
    start % type.BYTES_PER_ELEMENT === 0
      ? new type(bytes.buffer, start, length)
      : new type(bytes.slice(dataStart + entry.start, dataStart + entry.end).buffer, 0, length);
  return { dtype: entry.dtype, shape: entry.shape, data } as Tensor;
}

/** A record whose keys come from a file: without a prototype, `__proto__` is a name like any other. */
function nullRecord<T>(): Record<string, T> {
  return Object.create(null) as Record<string, T>;
}

function inFileOrder([leftName, left]: [string, Tensor], [rightName, right]: [string, Tensor]): number {
  const bySize = arrayTypes[right.dtype].BYTES_PER_ELEMENT - arrayTypes[left.dtype].BYTES_PER_ELEMENT;
  return bySize !== 0 ? bySize : byName([leftName], [rightName]);
}

function byName([left]: readonly [string, ...unknown[]], [right]: readonly [string, ...unknown[]]): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function jsonObject(members: readonly (readonly [string, string])[]): string {
  return `{${members.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`;
}

function padded(header: Uint8Array): Uint8Array {
  const whole = new Uint8Array(Math.ceil(header.byteLength / alignmentBytes) * alignmentBytes).fill(0x20);
  whole.set(header);
  return whole;
}

function checkTensor(name: string, { dtype, shape, data }: Tensor): void {
  const elements = shape.reduce((product, side) => product * side, 1);
  const isShape = shape.every((side) => Number.isSafeInteger(side) && side >= 0);
  if (name !== "__metadata__" && isShape && elements === data.length && data instanceof arrayTypes[dtype])
    return;
  throw new TrommelError(
    "internal",
    `cannot encode the tensor '${name}': ${dtype} [${shape.join(", ")}] has ${data.length} elements of ` +
      `${data.constructor.name}`,
  );
}

function requireLittleEndian(): void {
  if (endianness() === "LE") return;
  throw new TrommelError("unsupported", "cannot use safetensors: this machine is big-endian");
}
