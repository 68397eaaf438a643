/**
 * A file's name as the segment of a key. Names are bytes, and keys are text: a backslash is doubled, and a byte that is no
 * part of UTF-8 becomes `\xHH`. No two names give one segment, and only names without a backslash give a legal one.
 */
export function segmentOfName(name: Buffer): string {
  const text = name.toString("utf8");
  if (Buffer.from(text, "utf8").equals(name)) return text.replaceAll("\\", "\\\\");
  let segment = "";
  for (let at = 0; at < name.length;) {
    const length = characterLength(name, at);
    segment +=
      length === 0
        ? `\\x${(name[at] ?? 0).toString(16).padStart(2, "0")}`
        : name.toString("utf8", at, at + length).replaceAll("\\", "\\\\");
    at += Math.max(1, length);
  }
  return segment;
}

/** Bytes of the character that begins there, 0 where none does. */
function characterLength(name: Buffer, at: number): number {
  for (let length = 1; length <= Math.min(4, name.length - at); length += 1) {
    const bytes = name.subarray(at, at + length);
    if (Buffer.from(bytes.toString("utf8"), "utf8").equals(bytes)) return length;
  }
  return 0;
}
