/** The longest line that is read. */
export interface LineLimit {
  readonly bytesAtMost: number;
  /** What is thrown for a longer one. @param line from 1 */
  readonly tooLong: (line: number) => Error;
}

/**
 * The lines of a file, without their line feeds, empty ones too. They are bytes, so that no character is cut where a chunk ends.
 * @param limit of a line that no chunk ends. @default none
 */
export async function* byteLines(
  chunks: AsyncIterable<Uint8Array>,
  limit?: LineLimit,
): AsyncGenerator<Buffer, void, undefined> {
  let rest: Buffer = Buffer.alloc(0);
  let lines = 0;
  for await (const chunk of chunks) {
    const bytes =
      rest.length === 0
        ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
        : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(lineFeed); end !== -1; end = bytes.indexOf(lineFeed, start)) {
      lines += 1;
      yield bytes.subarray(start, end);
      start = end + 1;
    }
    rest = bytes.subarray(start);
    if (limit !== undefined && rest.length > limit.bytesAtMost) throw limit.tooLong(lines + 1);
  }
  if (rest.length > 0) yield rest;
}

const lineFeed = 0x0a;
