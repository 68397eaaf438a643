import { isUtf8 } from "node:buffer";
import { TrommelError } from "@trommel/common";
import { placeIn } from "../label-file.js";

/** What is read, for messages. */
export interface ReadFile {
  /** As in "the labels". */
  readonly what: string;
  readonly file: string;
  readonly code: "bad-dataset" | "invalid-argument";
  /** A name that TextDecoder knows; null for UTF-8, or what a byte order mark says. @default null */
  readonly encoding?: string | null | undefined;
  /** The flag that names another encoding; undefined without one. */
  readonly flag?: string | undefined;
}

const marks = [
  { encoding: "utf-8", bytes: [0xef, 0xbb, 0xbf] },
  { encoding: "utf-16le", bytes: [0xff, 0xfe] },
  { encoding: "utf-16be", bytes: [0xfe, 0xff] },
] as const;

/** What people hand in for a table, by its first bytes. */
const others = [
  { text: "PK\u0003\u0004", is: "it is a ZIP archive or a workbook (.xlsx, .ods)", remedy: "Save it as CSV" },
  { text: "\u00d0\u00cf\u0011\u00e0", is: "it is a workbook of Excel (.xls)", remedy: "Save it as CSV" },
  { text: "\u001f\u008b", is: "it is compressed with gzip", remedy: "Unpack it first" },
  { text: "%PDF-", is: "it is a PDF", remedy: "Save it as text" },
  { text: "PAR1", is: "it is a Parquet file", remedy: "Save it as CSV" },
  {
    text: "version https://git-lfs.github.com/spec/",
    is: "it is a Git LFS pointer and not the file itself",
    remedy: "Fetch the file with 'git lfs pull'",
  },
  { text: "\u00ff\u00fe\0\0", is: "it is UTF-32", remedy: "Save it as UTF-8" },
  { text: "\0\0\u00fe\u00ff", is: "it is UTF-32", remedy: "Save it as UTF-8" },
] as const;

/** Text is decoded in pieces, so that a large table is never one string. */
const pieceBytes = 1 << 20;

/**
 * The bytes of a text in UTF-8, without a byte order mark.
 * @throws TrommelError `code` naming the file and the lines that are not in its encoding
 */
export function toUtf8(bytes: Uint8Array, read: ReadFile): Uint8Array {
  const start = Buffer.from(bytes.subarray(0, 64)).toString("latin1");
  const other = others.find(({ text }) => start.startsWith(text));
  if (other !== undefined) throw refused(read, read.file, other.is, other.remedy);
  const mark = marks.find((of) => of.bytes.every((byte, at) => bytes[at] === byte));
  const asked = read.encoding === null || read.encoding === undefined ? undefined : nameOf(read.encoding);
  if (mark !== undefined && asked !== undefined && asked !== mark.encoding && asked !== "utf-16")
    throw refused(
      read,
      read.file,
      `it begins with the byte order mark of ${mark.encoding}, and ${asked} was given`,
      "Leave the encoding out",
    );
  const encoding = mark?.encoding ?? asked ?? "utf-8";
  const body = mark === undefined ? bytes : bytes.subarray(mark.bytes.length);
  if (encoding === "utf-8") {
    const guess = mark === undefined && asked === undefined ? utf16Without(body) : undefined;
    if (guess !== undefined)
      throw refused(
        read,
        read.file,
        `it looks like ${guess} without a byte order mark`,
        otherEncoding(read, guess),
      );
    if (isUtf8(body)) return body;
  }
  return decoded(body, encoding, read);
}

/** The same as a text. */
export function decodeLabelFile(bytes: Uint8Array, read: ReadFile): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(toUtf8(bytes, read));
}

/** The encoding's own name. */
function nameOf(encoding: string): string {
  return new TextDecoder(encoding).encoding;
}

function decoded(bytes: Uint8Array, encoding: string, read: ReadFile): Uint8Array {
  const decoder = new TextDecoder(encoding, { ignoreBOM: true });
  const pieces: Buffer[] = [];
  const lost: number[] = [];
  let line = 1;
  let isLost = false;
  const scan = (text: string): void => {
    for (const character of text.match(/[\n\ufffd]/g) ?? []) {
      if (character === "\n") line += 1;
      else if (lost.at(-1) !== line) lost.push(line);
      isLost ||= character !== "\n";
    }
  };
  for (let start = 0; start < bytes.length; start += pieceBytes) {
    const piece = bytes.subarray(start, start + pieceBytes);
    const text = decoder.decode(piece, { stream: start + pieceBytes < bytes.length });
    scan(text);
    if (!isLost) pieces.push(Buffer.from(encoding === "windows-1252" ? fromWindows(text) : text, "utf8"));
  }
  if (lost.length === 0) return Buffer.concat(pieces);
  throw undecodable(bytes, encoding, lost, read);
}

const namedLines = 20;

function undecodable(
  bytes: Uint8Array,
  encoding: string,
  lost: readonly number[],
  read: ReadFile,
): TrommelError {
  const [first = 1, ...further] = lost.slice(0, namedLines);
  const byte = encoding === "utf-8" ? firstBadByte(bytes) : undefined;
  const shown = byte === undefined ? "" : ` (0x${byte.toString(16).toUpperCase()})`;
  const more = lost.length - 1 - further.length;
  const lines =
    further.length === 0
      ? ""
      : `; nor are lines ${further.join(", ")}${more === 0 ? "" : ` and ${more} more`}`;
  const name = encoding.toUpperCase();
  return refused(
    read,
    placeIn(read.file, first),
    `it is not ${name}${shown}${lines}`,
    encoding === "utf-8" ? otherEncoding(read, "windows-1252") : "Name the encoding that it was saved in",
    { line: first, lines: lost.slice(0, namedLines).map(String) },
  );
}

function otherEncoding({ flag }: ReadFile, example: string): string {
  const save = "Save the file as UTF-8";
  return flag === undefined
    ? save
    : `${save}, or name the encoding that it was saved in (${flag} ${example})`;
}

function refused(
  { what, file, code }: ReadFile,
  place: string,
  why: string,
  remedy: string,
  context: Readonly<Record<string, number | string[]>> = {},
): TrommelError {
  return new TrommelError(code, `cannot read ${what} ${place}: ${why}. ${remedy}`, {
    context: { file, ...context },
  });
}

/** A text in two-byte characters has a zero in nearly every second byte where it is of Latin letters, digits and separators. */
function utf16Without(bytes: Uint8Array): string | undefined {
  const looked = Math.min(bytes.length - (bytes.length % 2), 512);
  const zeros = [0, 0];
  for (let at = 0; at < looked; at += 1) if (bytes[at] === 0) zeros[at % 2]! += 1;
  const [even = 0, odd = 0] = zeros;
  if (looked < 8 || Math.max(even, odd) < looked / 4 || Math.min(even, odd) > looked / 16) return undefined;
  return odd > even ? "utf-16le" : "utf-16be";
}

/** No byte of a multi-byte character is a line feed, so lines can be checked one by one. */
function firstBadByte(bytes: Uint8Array): number | undefined {
  for (let start = 0; start < bytes.length;) {
    const feed = bytes.indexOf(0x0a, start);
    const end = feed === -1 ? bytes.length : feed;
    const line = bytes.subarray(start, end);
    if (!isUtf8(line)) {
      const before = new TextDecoder("utf-8", { ignoreBOM: true }).decode(line).split("\ufffd", 1)[0] ?? "";
      return line[Buffer.byteLength(before, "utf8")];
    }
    start = end + 1;
  }
  return undefined;
}

/** Bytes 0x80 to 0x9F of windows-1252 by the Encoding Standard; Node decodes them as ISO 8859-1. */
const windowsControls = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ";

function fromWindows(text: string): string {
  return text.replace(
    /[\u0080-\u009f]/g,
    (control) => windowsControls[control.charCodeAt(0) - 0x80] ?? control,
  );
}
