import { crc32 } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";

/** The same files in archives, as plain as each format allows: what a reader of them costs, and not what packing saves. */

export interface NamedFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const tarBlock = 512;

/** POSIX ustar, names of at most 100 bytes. */
export function tarOf(files: readonly NamedFile[]): Buffer {
  const blocks = files.flatMap(({ name, bytes }) => [
    tarHeader(name, bytes.length),
    bytes,
    Buffer.alloc((tarBlock - (bytes.length % tarBlock)) % tarBlock),
  ]);
  return Buffer.concat([...blocks, Buffer.alloc(2 * tarBlock)]);
}

function tarHeader(name: string, sizeBytes: number): Buffer {
  const header = Buffer.alloc(tarBlock);
  const write = (text: string, at: number): number => header.write(text, at, "latin1");
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, "0")}\0`;
  if (Buffer.byteLength(name) > 100) throw new RangeError(`${name} is too long for a plain tar header`);
  write(name, 0);
  write(octal(0o644, 7), 100);
  write(octal(sizeBytes, 11), 124);
  write(octal(0, 11), 136);
  // The sum of the header's bytes is taken with blanks in its place.
  write("        ", 148);
  write("0", 156);
  write("ustar\x0000", 257);
  write(
    `${octal(
      header.reduce((sum, byte) => sum + byte, 0),
      6,
    )} `,
    148,
  );
  return header;
}

/** Stored, as pictures are compressed already. */
export function zipOf(files: readonly NamedFile[]): Buffer {
  const locals: Uint8Array[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const { name, bytes } of files) {
    const nameBytes = Buffer.from(name, "utf8");
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    // Names are UTF-8.
    common.writeUInt16LE(0x0800, 2);
    common.writeUInt16LE(0x21, 8);
    common.writeUInt32LE(crc32(bytes), 10);
    common.writeUInt32LE(bytes.length, 14);
    common.writeUInt32LE(bytes.length, 18);
    common.writeUInt16LE(nameBytes.length, 22);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    locals.push(Buffer.from("PK\x03\x04", "latin1"), common, nameBytes, bytes);
    central.push(Buffer.from("PK\x01\x02\x14\x00", "latin1"), common, place, nameBytes);
    offset += 30 + nameBytes.length + bytes.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", 0, "latin1");
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}

/** Two columns: `image` with the bytes as they are, `name` with the name. */
export function parquetOf(files: readonly NamedFile[]): Buffer {
  const columnData = [
    { name: "image", data: files.map(({ bytes }) => bytes), type: "BYTE_ARRAY" as const, nullable: false },
    { name: "name", data: files.map(({ name }) => name), type: "STRING" as const, nullable: false },
  ];
  return Buffer.from(parquetWriteBuffer({ columnData, codec: "UNCOMPRESSED", rowGroupSize: 256 }));
}
