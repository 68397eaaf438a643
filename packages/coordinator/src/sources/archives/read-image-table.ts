import { decodePage, pageHeader, type ByteSource, type Page } from "@trommel/common/archives";
import { imageColumnOf, parquetRowGroups, requireColumn, type ParquetObject } from "@trommel/common/parquet";
import { messageOf, TrommelError } from "@trommel/common";
import { damagedAt, type Found } from "./member.js";

/** A page's header is a few dozen bytes, and more where it has statistics. */
const headerBytesAtMost = 64 * 1024;

/** How a table of images is read. */
export interface ImageTableForm {
  readonly imageColumn: string | null;
  readonly keyColumn: string | null;
  readonly labelColumn: string | null;
}

/** A value of a column of bytes: where it is. */
interface PlacedValue {
  readonly range: [number, number];
  readonly codec: string;
  readonly level: number;
  readonly value: number;
  readonly bytes: Uint8Array;
}

/**
 * @returns the column of images
 * @throws TrommelError `bad-dataset` naming the columns that there are if one that is asked for is missing, or no column has images
 */
export function requireColumns(
  table: ParquetObject,
  { imageColumn, keyColumn, labelColumn }: ImageTableForm,
  name: string,
): ReturnType<typeof imageColumnOf> {
  if (keyColumn !== null) requireColumn(table, keyColumn, { name, flag: "--key-column" });
  if (labelColumn !== null) requireColumn(table, labelColumn, { name, flag: "--label-column" });
  return imageColumnOf(table, imageColumn, name);
}

/**
 * The images of a Parquet table in the order of its rows. Each is a value of a page: the page is read where its images are, and
 * nothing of it is held but sizes. A row without a picture, and a page that is damaged, are damage; where names or labels are, the
 * table ends.
 * @throws TrommelError `bad-dataset` as {@link requireColumns}
 */
export async function* readImageTable(
  table: ParquetObject,
  { pictures, names: ofNames }: { readonly pictures: ByteSource; readonly names: ByteSource },
  form: ImageTableForm,
  name: string,
): AsyncGenerator<Found> {
  const { path, pathOfNames } = requireColumns(table, form, name);
  const more = [form.keyColumn, form.labelColumn].flatMap((column) => column ?? []);
  const wanted = [...new Set(more)].filter((column) => column !== path[0]);
  const groups = parquetRowGroups(table, wanted)[Symbol.asyncIterator]();
  let number = 0;
  for (const [index, group] of table.metadata.row_groups.entries()) {
    if (Number(group.num_rows) === 0) continue;
    let rows: readonly Record<string, unknown>[] | undefined;
    try {
      if (wanted.length > 0)
        rows = (await groups.next()).value as readonly Record<string, unknown>[] | undefined;
    } catch (thrown) {
      if (thrown instanceof TrommelError) throw thrown;
      // Without their names and labels the rows of this group and of those after it are not listed.
      const why = messageOf(thrown);
      yield damagedAt(number, `its columns cannot be read from row group ${index + 1} on (${why})`);
      return;
    }
    const names = pathOfNames === undefined ? undefined : valuesOf(table, ofNames, index, pathOfNames);
    let row = 0;
    try {
      for await (const picture of valuesOf(table, pictures, index, path)) {
        number += 1;
        const cells = rows?.[row];
        row += 1;
        const inner = (await names?.next())?.value as PlacedValue | undefined;
        if (picture === undefined) {
          yield damagedAt(number, `its row ${number} has no picture`);
          continue;
        }
        const { range, bytes, ...page } = picture;
        const member = {
          name: nameOf(form.keyColumn === null ? undefined : cells?.[form.keyColumn], inner, number),
          sizeBytes: bytes.length,
          place: { range, form: { page } },
          ...(form.labelColumn === null
            ? {}
            : { label: labelOf(table, form.labelColumn, cells?.[form.labelColumn]) }),
        };
        yield { member };
      }
    } catch (thrown) {
      if (thrown instanceof TrommelError) throw thrown;
      yield damagedAt(
        number,
        `its row group ${index + 1} cannot be read after row ${number} (${messageOf(thrown)})`,
      );
    }
    number += Number(group.num_rows) - row;
  }
}

/** The values of a column in a row group, undefined where one is null. */
async function* valuesOf(
  { metadata }: ParquetObject,
  source: ByteSource,
  group: number,
  path: readonly string[],
): AsyncGenerator<PlacedValue | undefined> {
  const chunk = metadata.row_groups[group]?.columns
    .map(({ meta_data: of }) => of)
    .find((of) => of?.path_in_schema.join("\0") === path.join("\0"));
  if (chunk === undefined) throw new Error(`it has no column ${path.join(".")}`);
  const column = { codec: chunk.codec, level: levelOf(metadata, path) };
  const first = Number(chunk.data_page_offset);
  const dictionaryAt = Number(chunk.dictionary_page_offset ?? 0n);
  let offset = dictionaryAt > 0 ? Math.min(dictionaryAt, first) : first;
  const end = offset + Number(chunk.total_compressed_size);
  let dictionary: { readonly page: Page; readonly range: [number, number] } | undefined;
  while (offset < end) {
    const { header, length } = pageHeader(
      await source.bytes(offset, Math.min(headerBytesAtMost, end - offset)),
    );
    const range: [number, number] = [offset, length + header.compressed_page_size];
    // A copy: the page of names may be read before this one is through.
    const page = decodePage(Buffer.from(await source.bytes(...range)), column);
    offset += range[1];
    if (page.isDictionary) {
      dictionary = { page, range };
      continue;
    }
    const from = page.isIndexed ? dictionary : { page, range };
    let next = 0;
    for (let row = 0; row < page.rows; row += 1) {
      if (page.present.length > 0 && page.present[row] !== true) {
        yield undefined;
        continue;
      }
      const value = page.isIndexed ? Number(page.values[next]) : next;
      next += 1;
      const bytes = from?.page.values[value];
      if (from === undefined || !(bytes instanceof Uint8Array)) throw new Error("a page has no such value");
      yield { range: from.range, ...column, value, bytes };
    }
  }
}

/** How many of a column's parents, itself included, may be null. */
function levelOf({ schema }: ParquetObject["metadata"], path: readonly string[]): number {
  let level = 0;
  let at = 1;
  for (const name of path) {
    while (schema[at] !== undefined && schema[at]?.name !== name) at = afterElement(schema, at);
    if (schema[at]?.repetition_type !== "REQUIRED") level += 1;
    at += 1;
  }
  return level;
}

/** The element after one and all of its children: the schema is written depth first. */
function afterElement(schema: ParquetObject["metadata"]["schema"], at: number): number {
  let next = at + 1;
  for (let child = 0; child < (schema[at]?.num_children ?? 0); child += 1) next = afterElement(schema, next);
  return next;
}

function nameOf(cell: unknown, inner: PlacedValue | undefined, number: number): string {
  if (typeof cell === "string" && cell !== "") return cell;
  if (typeof cell === "number" || typeof cell === "bigint") return String(cell);
  const path = inner === undefined ? "" : Buffer.from(inner.bytes).toString("utf8");
  return path === "" ? `row-${String(number).padStart(9, "0")}` : path;
}

/** A number is the class of that number where the table names its classes, as those of Hugging Face do. */
function labelOf({ metadata }: ParquetObject, column: string, cell: unknown): string | undefined {
  if (typeof cell === "string") return cell;
  if (typeof cell !== "number" && typeof cell !== "bigint") return undefined;
  const names = classNames(metadata, column);
  return names?.[Number(cell)] ?? String(cell);
}

interface HuggingFaceInfo {
  readonly info?: {
    readonly features?: Readonly<Record<string, { readonly names?: readonly string[] } | undefined>>;
  };
}

function classNames(
  { key_value_metadata: entries = [] }: ParquetObject["metadata"],
  column: string,
): readonly string[] | undefined {
  const text = entries.find(({ key }) => key === "huggingface")?.value;
  if (text === undefined) return undefined;
  try {
    return (JSON.parse(text) as HuggingFaceInfo).info?.features?.[column]?.names;
  } catch {
    return undefined;
  }
}
