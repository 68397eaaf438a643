import { TrommelError } from "../errors.js";

/**
 * Reads a body into one array of the stated length.
 * @throws TrommelError `corrupt` (retryable) where it is shorter or longer than stated
 */
export async function readBody(
  body: AsyncIterable<Uint8Array>,
  statedBytes: number,
  name: string,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(statedBytes);
  let filled = 0;
  for await (const chunk of body) {
    if (filled + chunk.byteLength > statedBytes) throw wrongLength(name, statedBytes, "more");
    bytes.set(chunk, filled);
    filled += chunk.byteLength;
  }
  if (filled < statedBytes) throw wrongLength(name, statedBytes, `only ${filled}`);
  return bytes;
}

/**
 * Reads a body whose length the server did not state.
 * @throws TooLong as soon as it passes `maxBytes`
 */
export async function readUnstatedBody(
  body: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of body) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maxBytes) throw new TooLong(sizeBytes);
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(sizeBytes);
  let filled = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, filled);
    filled += chunk.byteLength;
  }
  return bytes;
}

/** Signals to the caller, who words the error, that a body passed its bound. */
export class TooLong extends Error {
  constructor(readonly sizeBytes: number) {
    super(`the body has ${sizeBytes} bytes or more`);
  }
}

function wrongLength(name: string, statedBytes: number, got: string): TrommelError {
  return new TrommelError(
    "corrupt",
    `failed to read ${name}: the server stated ${statedBytes} bytes and sent ${got}. Try again`,
    { retryable: true },
  );
}
