import { compressors } from "hyparquet-compressors";
import { readPage, parquetHeader } from "hyparquet/src/column.js";
import { decompressPage, readDataPage, readDataPageV2 } from "hyparquet/src/datapage.js";
import type { CompressionCodec, PageHeader, SchemaTree } from "hyparquet";

type ColumnDecoder = Parameters<typeof readDataPage>[2];

/** How the pages of a column of bytes are read. */
export interface PageColumn {
  readonly codec: string;
  /** How many of the column's parents, itself included, may be null. */
  readonly level: number;
}

/** A page of a column of bytes. */
export interface Page {
  /** What is not null: bytes, or in a page of a dictionary's numbers the numbers. */
  readonly values: ArrayLike<unknown>;
  readonly isDictionary: boolean;
  /** Whether the values are numbers of the dictionary's. */
  readonly isIndexed: boolean;
  /** For each row whether it has a value; empty if every one has. */
  readonly present: readonly boolean[];
  readonly rows: number;
}

/** The header of a page and its length. @param bytes from the page's first byte on */
export function pageHeader(bytes: Uint8Array): { readonly header: PageHeader; readonly length: number } {
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
  const header = parquetHeader(reader);
  return { header, length: reader.offset };
}

/**
 * Decodes a page with its header.
 * @throws Error of the decoder
 */
export function decodePage(bytes: Uint8Array, column: PageColumn): Page {
  const { header, length } = pageHeader(bytes);
  const decoder = decoderOf(column);
  const content = bytes.subarray(length, length + header.compressed_page_size);
  if (header.type === "DICTIONARY_PAGE") {
    const reader = { view: new DataView(content.buffer, content.byteOffset, content.byteLength), offset: 0 };
    const { data = [] } = readPage(reader, header, decoder, undefined, undefined, 0);
    return { values: data, isDictionary: true, isIndexed: false, present: [], rows: 0 };
  }
  const v2 = header.data_page_header_v2;
  const v1 = header.data_page_header;
  const { definitionLevels = [], dataPage } =
    v2 === undefined
      ? readDataPage(
          decompressPage(content, Number(header.uncompressed_page_size), decoder.codec, compressors),
          v1 ?? missing(),
          decoder,
        )
      : readDataPageV2(content, header, decoder);
  const { encoding, num_values: rows } = v2 ?? v1 ?? missing();
  return {
    values: dataPage,
    isDictionary: false,
    isIndexed: encoding.endsWith("_DICTIONARY"),
    present: definitionLevels.map((level) => level === column.level),
    rows,
  };
}

function missing(): never {
  throw new Error("a data page has no header of its kind");
}

function decoderOf({ codec, level }: PageColumn): ColumnDecoder {
  const element = (optional: boolean) => ({
    name: "",
    repetition_type: optional ? ("OPTIONAL" as const) : ("REQUIRED" as const),
    type: "BYTE_ARRAY" as const,
  });
  const node = (optional: boolean): SchemaTree => ({
    children: [],
    count: 1,
    element: element(optional),
    path: [],
  });
  const schemaPath = [node(false), ...Array.from({ length: Math.max(1, level) }, () => node(level > 0))];
  return {
    pathInSchema: [],
    type: "BYTE_ARRAY",
    element: element(level > 0),
    schemaPath,
    codec: codec as CompressionCodec,
    compressors,
    utf8: false,
  } as unknown as ColumnDecoder;
}
