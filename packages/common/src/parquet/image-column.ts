import { parquetSchema, type SchemaTree } from "hyparquet";
import { TrommelError } from "../errors.js";
import { someOf } from "../some-of.js";
import type { ParquetObject } from "./open-parquet.js";

/** The column of a table that holds pictures, by the names on the way to it. */
export interface ImageColumn {
  readonly path: readonly string[];
  /** The column of names next to the bytes; undefined without one. */
  readonly pathOfNames: readonly string[] | undefined;
}

/**
 * Finds a plain column of bytes, or Hugging Face's `{bytes, path}`.
 * @param asked its name; null takes the only one
 * @throws TrommelError `bad-dataset` if no column does, or more than one
 */
export function imageColumnOf({ metadata }: ParquetObject, asked: string | null, name: string): ImageColumn {
  const { children } = parquetSchema(metadata);
  const found = children.flatMap((child) => {
    const column = columnOf(child);
    return column === undefined ? [] : [{ name: child.element.name, column }];
  });
  const fitting = asked === null ? found : found.filter((of) => of.name === asked);
  const [only] = fitting;
  if (only !== undefined && fitting.length === 1) return only.column;
  const why =
    asked !== null && !children.some(({ element }) => element.name === asked)
      ? `it has no column ${JSON.stringify(asked)}`
      : asked !== null
        ? `its column ${JSON.stringify(asked)} holds no pictures: neither plain bytes nor {bytes, path}`
        : found.length === 0
          ? "no column holds pictures, as plain bytes or as {bytes, path}"
          : `its columns ${found.map((of) => JSON.stringify(of.name)).join(" and ")} may each hold pictures`;
  throw new TrommelError(
    "bad-dataset",
    `cannot read images from ${name}: ${why}. ${columnsThere(children)}. Name the one with --image-column`,
    { context: { object: name } },
  );
}

/** @throws TrommelError `bad-dataset` naming the columns that there are */
export function requireColumn(
  { metadata }: ParquetObject,
  column: string,
  { name, flag }: { readonly name: string; readonly flag: string },
): void {
  const { children } = parquetSchema(metadata);
  if (children.some(({ element }) => element.name === column)) return;
  throw new TrommelError(
    "bad-dataset",
    `cannot read images from ${name}: it has no column ${JSON.stringify(column)}. ${columnsThere(children)}. Name another with ${flag}, or leave it out`,
    { context: { object: name, column } },
  );
}

function columnsThere(children: readonly SchemaTree[]): string {
  return `It has the columns ${someOf(
    children.map(({ element }) => JSON.stringify(element.name)),
    20,
  )}`;
}

function columnOf(child: SchemaTree): ImageColumn | undefined {
  const { name } = child.element;
  if (isBytes(child)) return { path: [name], pathOfNames: undefined };
  if (child.element.repetition_type === "REPEATED") return undefined;
  const bytes = child.children.find((of) => of.element.name === "bytes" && isBytes(of));
  if (bytes === undefined) return undefined;
  const path = child.children.find((of) => of.element.name === "path" && of.element.type === "BYTE_ARRAY");
  return { path: [name, "bytes"], pathOfNames: path === undefined ? undefined : [name, "path"] };
}

function isBytes({ element, children }: SchemaTree): boolean {
  const { type, repetition_type: repetition, converted_type: converted, logical_type: logical } = element;
  const isPlain = converted === undefined && logical === undefined;
  return children.length === 0 && type === "BYTE_ARRAY" && repetition !== "REPEATED" && isPlain;
}
