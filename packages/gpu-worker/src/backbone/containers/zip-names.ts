const entrySignature = 0x02014b50;
const endSignature = 0x06054b50;
const endBytes = 22;

/**
 * The names in a zip file's central directory (APPNOTE.TXT, 4.3.12 and 4.3.16), at most 10,000 of them.
 * @returns undefined if the directory is missing, as in a file that was cut
 */
export function zipNames(bytes: Uint8Array): readonly string[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = endOf(view);
  if (end === undefined) return undefined;
  const names: string[] = [];
  let at = view.getUint32(end + 16, true);
  while (at + 46 <= end && names.length < 10_000 && view.getUint32(at, true) === entrySignature) {
    const nameBytes = view.getUint16(at + 28, true);
    names.push(Buffer.from(bytes.subarray(at + 46, at + 46 + nameBytes)).toString("utf8"));
    at += 46 + nameBytes + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return names;
}

/** The end record is the last one and may be followed by a comment of up to 65,535 bytes. */
function endOf(view: DataView): number | undefined {
  const lowest = Math.max(0, view.byteLength - endBytes - 0xffff);
  for (let at = view.byteLength - endBytes; at >= lowest; at--) {
    if (view.getUint32(at, true) === endSignature) return at;
  }
  return undefined;
}
