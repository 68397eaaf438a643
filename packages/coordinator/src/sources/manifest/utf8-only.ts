import { isUtf8 } from "node:buffer";
import { unreadableTable } from "./table-row.js";

/** The same bytes. @throws TrommelError `bad-dataset` naming the first line that is not UTF-8 */
export async function* utf8Only(
  file: string,
  chunks: AsyncIterable<Uint8Array>,
  firstLine: number,
): AsyncGenerator<Uint8Array> {
  const whole = new TextDecoder("utf-8", { fatal: true });
  let line = firstLine;
  // The line that has begun, as far as it was read.
  let rest = Buffer.alloc(0);
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
    const last = bytes.lastIndexOf(0x0a);
    if (last >= 0) {
      for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) line += 1;
      rest = Buffer.from(bytes.subarray(last + 1));
    } else rest = Buffer.concat([rest, bytes]);
    yield chunk;
  }
  try {
    whole.decode();
  } catch {
    refuse(new Uint8Array());
  }
}

function splitLines(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  let start = 0;
  for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start)) {
    lines.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return [...lines, bytes.subarray(start)];
}
