import { isUtf8 } from "node:buffer";
import { unreadableTable } from "./table-row.js";

/** Bytes of a character of UTF-8 that has begun and not ended, at most. */
const longestBegun = 3;

/** The same bytes. @throws TrommelError `bad-dataset` naming the first line that is not UTF-8 */
export async function* utf8Only(
  file: string,
  chunks: AsyncIterable<Uint8Array>,
  firstLine: number,
): AsyncGenerator<Uint8Array> {
  const whole = new TextDecoder("utf-8", { fatal: true });
  let line = firstLine;
  // The last bytes of the line that has begun: a character may have begun in them. A line may be as long as the file.
  let rest: Buffer = Buffer.alloc(0);
  const refuse = (bytes: Uint8Array): never => {
    const lines = splitLines(Buffer.concat([rest, bytes]));
    const bad = lines.findIndex((of) => !isUtf8(of));
    throw unreadableTable(file, line + Math.max(0, bad), "it is not UTF-8", "Save the table as UTF-8");
  };
  for await (const chunk of chunks) {
    try {
      whole.decode(chunk, { stream: true });
    } catch {
      refuse(chunk);
    }
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) line += 1;
    rest = lastCharacters(Buffer.concat([rest, bytes.subarray(-longestBegun)]));
    yield chunk;
  }
  try {
    whole.decode();
  } catch {
    refuse(new Uint8Array());
  }
}

/** What follows the last line break, at most the last three bytes, without the end of a character that began before them. */
function lastCharacters(bytes: Buffer): Buffer {
  let start = Math.max(bytes.lastIndexOf(0x0a) + 1, bytes.length - longestBegun);
  while (start < bytes.length && isContinuation(bytes[start] ?? 0)) start += 1;
  return Buffer.from(bytes.subarray(start));
}

const isContinuation = (byte: number): boolean => (byte & 0xc0) === 0x80;

function splitLines(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  let start = 0;
  for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start)) {
    lines.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return [...lines, bytes.subarray(start)];
}
