import type { ByteSource } from "@trommel/common/archives";
import { damagedAt, type Found, type Member } from "./member.js";
import { blockBytes, parseTarHeader, paxRecords, tarText } from "./tar-header.js";

/** Long names and pax headers that are larger are no names. */
const extraBytesAtMost = 1024 * 1024;

/**
 * The files of a tar archive in its order. Only headers are read, and what lies between small files. An archive that ends early, or has
 * something else where a header belongs, yields that as its last.
 */
export async function* readTar(source: ByteSource, isGzipped: boolean): AsyncGenerator<Found> {
  let offset = 0;
  let global: ReadonlyMap<string, string> = new Map();
  let next = { name: undefined as string | undefined, pax: new Map() as ReadonlyMap<string, string> };
  for (;;) {
    const block = await source.bytes(offset, blockBytes);
    if (block.length < blockBytes) {
      yield damagedAt(
        offset,
        offset === 0
          ? `it is no tar archive: it has ${block.length} bytes, and a file's header alone has ${blockBytes}`
          : "the archive ends there, without the mark of its end",
      );
      return;
    }
    const header = parseTarHeader(block);
    if (header === undefined) return;
    if ("why" in header) {
      yield damagedAt(offset, offset === 0 ? `it is no tar archive: ${header.why}` : header.why);
      return;
    }
    const { type } = header;
    const size = Number(next.pax.get("size") ?? global.get("size") ?? header.sizeBytes);
    const start = offset + blockBytes;
    if ("xgLK".includes(type)) {
      const extra =
        header.sizeBytes > extraBytesAtMost ? undefined : await source.bytes(start, header.sizeBytes);
      if (extra?.length !== header.sizeBytes) {
        yield damagedAt(offset, "a file's long name or extended header is not whole");
        return;
      }
      const records = type === "x" || type === "g" ? paxRecords(extra) : undefined;
      if ((type === "x" || type === "g") && records === undefined) {
        yield damagedAt(offset, "a file's extended header has no records");
        return;
      }
      if (type === "g" && records !== undefined) global = records;
      if (type === "x" && records !== undefined) next = { ...next, pax: records };
      if (type === "L") next = { ...next, name: tarText(extra) };
      offset = after(start, header.sizeBytes);
      continue;
    }
    const name = next.pax.get("path") ?? next.name ?? global.get("path") ?? header.name;
    const isSparse =
      type === "S" || [...next.pax.keys()].some((keyword) => keyword.startsWith("GNU.sparse."));
    next = { name: undefined, pax: new Map() };
    offset = after(start, size);
    if (isSparse) yield damagedAt(start, `${JSON.stringify(name)} is a sparse file, which is not read`);
    else if (type === "0" || type === "7") {
      // Whether the file is whole shows in its last byte.
      if (size > 0 && (await source.bytes(start + size - 1, 1)).length === 0) {
        yield damagedAt(start, `the archive ends within ${JSON.stringify(name)}`);
        return;
      }
      yield { member: fileOf(name, start, size, isGzipped) };
    } else if (type !== "5") yield { member: { name, sizeBytes: 0, place: {}, isOther: true } };
  }
}

function fileOf(name: string, start: number, sizeBytes: number, isGzipped: boolean): Member {
  return {
    name,
    sizeBytes,
    place: { range: [start, sizeBytes], ...(isGzipped ? { form: "gzip" } : {}) },
  };
}

function after(start: number, sizeBytes: number): number {
  return start + Math.ceil(sizeBytes / blockBytes) * blockBytes;
}
