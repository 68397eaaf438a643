/** The text of a JSON file: UTF-8 or, by its byte order mark, UTF-16. The mark is left out. */
export function jsonText(bytes: Uint8Array): string {
  const encoding = bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : "utf-8";
  const bigEndian = bytes[0] === 0xfe && bytes[1] === 0xff;
  return new TextDecoder(bigEndian ? "utf-16be" : encoding).decode(bytes);
}

/** Whether the first character that is not white space begins a JSON object or list. */
export function looksLikeJson(bytes: Uint8Array): boolean {
  return /^\s*[[{]/.test(jsonText(bytes.subarray(0, 256)));
}
