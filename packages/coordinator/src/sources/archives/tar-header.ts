/** The header of a member of a tar archive: POSIX.1-1988 (ustar), POSIX.1-2001 (pax) and GNU tar's own. */

export const blockBytes = 512;

export interface TarHeader {
  readonly name: string;
  readonly sizeBytes: number;
  /** `0` is a file; see POSIX pax, "ustar Interchange Format". */
  readonly type: string;
}

/** Names are UTF-8 in nearly every archive; in others each byte is one character. */
export function tarText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  const text = end === -1 ? bytes : bytes.subarray(0, end);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(text);
  } catch {
    return Buffer.from(text).toString("latin1");
  }
}

/** @returns undefined for a block of zeros, or why the block is no header */
export function parseTarHeader(block: Uint8Array): TarHeader | { readonly why: string } | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  const sum = block.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  if (octal(block.subarray(148, 156)) !== sum)
    return { why: "no file's header begins there (its check sum differs)" };
  const size = numberOf(block.subarray(124, 136));
  if (size === undefined) return { why: "a file's size is no number" };
  const prefix =
    tarText(block.subarray(257, 262)) === "ustar" && block[262] === 0
      ? tarText(block.subarray(345, 500))
      : "";
  const name = tarText(block.subarray(0, 100));
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    sizeBytes: size,
    type: block[156] === 0 ? "0" : String.fromCharCode(block[156] ?? 0),
  };
}

/** Octal digits, or GNU's base 256 where the first bit is set. */
function numberOf(field: Uint8Array): number | undefined {
  if (((field[0] ?? 0) & 0x80) === 0) return octal(field);
  let value = (field[0] ?? 0) & 0x7f;
  for (const byte of field.subarray(1)) value = value * 256 + byte;
  return Number.isSafeInteger(value) ? value : undefined;
}

function octal(field: Uint8Array): number | undefined {
  const text = Buffer.from(field)
    .toString("latin1")
    .replaceAll(/[\0 ]+/g, " ")
    .trim();
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : text === "" ? 0 : undefined;
}

/** The records of a pax header: `<length> <keyword>=<value>\n`. @returns undefined if they are no such */
export function paxRecords(bytes: Uint8Array): ReadonlyMap<string, string> | undefined {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length && bytes[at] !== 0;) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(Buffer.from(bytes.subarray(at, space)).toString("latin1"));
    const equals = bytes.indexOf(0x3d, space);
    if (space === -1 || !Number.isInteger(length) || length < 5 || at + length > bytes.length)
      return undefined;
    if (equals === -1 || equals > at + length) return undefined;
    const keyword = Buffer.from(bytes.subarray(space + 1, equals)).toString("utf8");
    records.set(keyword, Buffer.from(bytes.subarray(equals + 1, at + length - 1)).toString("utf8"));
    at += length;
  }
  return records;
}
