import type { ByteSource } from "@trommel/common/archives";
import { damagedAt, type Found, type Member } from "./member.js";

const endSignature = 0x06054b50;
const end64Signature = 0x06064b50;
const fileSignature = 0x02014b50;
const endBytes = 22;
const locatorBytes = 20;
const commentAtMost = 65_535;
const full16 = 0xffff;
const full32 = 0xffffffff;

interface Directory {
  readonly offset: number;
  readonly sizeBytes: number;
  readonly files: number;
}

interface ListedFile {
  readonly name: string;
  readonly offset: number;
  readonly packedBytes: number;
  readonly sizeBytes: number;
  readonly method: number;
  readonly isEncrypted: boolean;
}

/**
 * The files of a zip archive in the order in which they lie there, from its central directory (APPNOTE.TXT 4.3). Encrypted files
 * and methods other than stored and deflated are refused by name.
 */
export async function* readZip(source: ByteSource, sizeBytes: number): AsyncGenerator<Found> {
  const directory = await findDirectory(source, sizeBytes);
  if ("why" in directory) {
    yield damagedAt(sizeBytes, directory.why);
    return;
  }
  const files: ListedFile[] = [];
  let damage: Found | undefined;
  let at = directory.offset;
  for (let index = 0; index < directory.files; index += 1) {
    const file = await readFile(source, at);
    if (file === undefined) {
      damage = damagedAt(at, `the central directory has ${index} of its ${directory.files} files`);
      break;
    }
    at += file.length;
    files.push(file);
  }
  files.sort((a, b) => a.offset - b.offset);
  for (const [index, file] of files.entries()) {
    if (file.name.endsWith("/")) continue;
    const limit = files[index + 1]?.offset ?? directory.offset;
    yield foundOf(file, limit);
  }
  if (damage !== undefined) yield damage;
}

function foundOf(file: ListedFile, limit: number): Found {
  const { name, offset, packedBytes, sizeBytes, method, isEncrypted } = file;
  const quoted = JSON.stringify(name);
  if (isEncrypted) return damagedAt(offset, `${quoted} is encrypted`);
  if (method !== 0 && method !== 8)
    return damagedAt(offset, `${quoted} is packed by method ${method}; stored and deflated files are read`);
  // The local header's own names are not longer than two times 64 KiB.
  const length = Math.min(limit - offset, 30 + 2 * full16 + packedBytes);
  if (length < 30 + packedBytes)
    return damagedAt(offset, `${quoted} has no room for its ${packedBytes} bytes`);
  const zip = { method: method === 0 ? ("stored" as const) : ("deflate" as const), packedBytes };
  const member: Member = { name, sizeBytes, place: { range: [offset, length], form: { zip } } };
  return { member };
}

async function findDirectory(
  source: ByteSource,
  sizeBytes: number,
): Promise<Directory | { readonly why: string }> {
  const start = Math.max(0, sizeBytes - endBytes - commentAtMost);
  const tail = Buffer.from(await source.bytes(start, sizeBytes - start));
  for (let at = tail.length - endBytes; at >= 0; at -= 1) {
    if (tail.readUInt32LE(at) !== endSignature || tail.readUInt16LE(at + 20) !== tail.length - at - endBytes)
      continue;
    const found: Directory = {
      files: tail.readUInt16LE(at + 10),
      sizeBytes: tail.readUInt32LE(at + 12),
      offset: tail.readUInt32LE(at + 16),
    };
    const isLarge = found.files === full16 || found.offset === full32 || found.sizeBytes === full32;
    return isLarge ? ((await findLarge(source, start + at)) ?? found) : found;
  }
  return { why: "it has no end of a central directory: it is no zip archive, or its end is missing" };
}

async function findLarge(source: ByteSource, endOffset: number): Promise<Directory | undefined> {
  const locator = Buffer.from(await source.bytes(Math.max(0, endOffset - locatorBytes), locatorBytes));
  if (locator.length < locatorBytes || locator.readUInt32LE(0) !== 0x07064b50) return undefined;
  const end = Buffer.from(await source.bytes(Number(locator.readBigUInt64LE(8)), 56));
  if (end.length < 56 || end.readUInt32LE(0) !== end64Signature) return undefined;
  return {
    files: Number(end.readBigUInt64LE(32)),
    sizeBytes: Number(end.readBigUInt64LE(40)),
    offset: Number(end.readBigUInt64LE(48)),
  };
}

async function readFile(
  source: ByteSource,
  at: number,
): Promise<(ListedFile & { readonly length: number }) | undefined> {
  const fixed = Buffer.from(await source.bytes(at, 46));
  if (fixed.length < 46 || fixed.readUInt32LE(0) !== fileSignature) return undefined;
  const [nameBytes, extraBytes, comment] = [28, 30, 32].map((field) => fixed.readUInt16LE(field)) as [
    number,
    number,
    number,
  ];
  const rest = Buffer.from(await source.bytes(at + 46, nameBytes + extraBytes));
  if (rest.length < nameBytes + extraBytes) return undefined;
  const flags = fixed.readUInt16LE(8);
  const name = rest
    .subarray(0, nameBytes)
    .toString((flags & 0x800) !== 0 || isUtf8(rest.subarray(0, nameBytes)) ? "utf8" : "latin1");
  const large = largeNumbers(rest.subarray(nameBytes));
  const wide = (value: number): number => (value === full32 ? (large.shift() ?? value) : value);
  // In this order: APPNOTE.TXT 4.5.3.
  const sizeBytes = wide(fixed.readUInt32LE(24));
  const packedBytes = wide(fixed.readUInt32LE(20));
  const offset = wide(fixed.readUInt32LE(42));
  return {
    ...{ name: name.replaceAll("\\", "/"), sizeBytes, packedBytes, offset },
    method: fixed.readUInt16LE(10),
    isEncrypted: (flags & 1) !== 0,
    length: 46 + nameBytes + extraBytes + comment,
  };
}

function isUtf8(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString("utf8"), "utf8").equals(bytes);
}

/** The numbers of the zip64 extra field. */
function largeNumbers(extra: Buffer): number[] {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    const end = Math.min(extra.length, at + 4 + extra.readUInt16LE(at + 2));
    const numbers: number[] = [];
    for (let from = at + 4; from + 8 <= end; from += 8) numbers.push(Number(extra.readBigUInt64LE(from)));
    return numbers;
  }
  return [];
}
