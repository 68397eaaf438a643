import { openStore, resolveLocation, TrommelError } from "@trommel/common";
import type { SourceForm } from "@trommel/common/artefacts";
import { splitLocation } from "@trommel/common/store";
import { checkArchives } from "../sources/archives/check-archives.js";
import { archiveKind } from "../sources/archives/open-archive.js";
import { checkManifest } from "../sources/manifest/check-manifest.js";
import type { SourcePlace } from "../sources/open-source.js";
import { checkPrefix } from "./check-prefix.js";

/** A table that lists the images. */
export interface AskedManifest {
  /** A `.csv`, `.jsonl` or `.parquet` file, or a prefix of such files. */
  readonly location: string;
  /** The column of keys or whole locations. @default "key" */
  readonly keyColumn?: string | undefined;
  /** The column of labels. @default none */
  readonly labelColumn?: string | undefined;
  /** Whether a row may name its image by this whole location. @default every one may */
  readonly allows?: ((location: string) => boolean) | undefined;
}

/** Archives that hold the images. */
export interface AskedArchives {
  /** The column of pictures of a Parquet table. @default the only one */
  readonly imageColumn?: string | undefined;
  /** The column of keys of a Parquet table. @default the path next to the picture's bytes, or the row's number */
  readonly keyColumn?: string | undefined;
  /** The column of labels of a Parquet table, and the field of WebDataset's `.json`. @default `label`, `cls` or `class` of the latter */
  readonly labelColumn?: string | undefined;
}

/** The source of the images of a call. */
interface AskedSource {
  /** A folder or `s3://bucket/prefix`; undefined for a manifest of whole locations, and not without one. */
  readonly prefix: string | undefined;
  readonly manifest?: AskedManifest | undefined;
  /** Whether the objects under the prefix are archives. @default if the prefix is one archive */
  readonly archives?: AskedArchives | undefined;
}

/** What a source has to say of its images. */
interface SourceNeeds {
  /** Whether every image needs a label where a column labels. */
  readonly labels: boolean;
  /** More columns that are read. */
  readonly others?: readonly string[];
  /** Names that a carried column cannot have; undefined carries none. */
  readonly reserved?: readonly string[];
}

/**
 * Resolves where images come from, and reads a manifest once.
 * @throws TrommelError `invalid-argument` without images, and what {@link checkManifest} throws
 */
export async function resolveSource(
  { prefix, manifest, archives }: AskedSource,
  needs: SourceNeeds,
): Promise<SourcePlace> {
  if (manifest === undefined) {
    if (prefix === undefined)
      throw new TrommelError(
        "invalid-argument",
        "cannot list images: none are named. Give their <prefix>, or --manifest <file>",
      );
    const one = await findArchive(prefix);
    if (archives !== undefined || one !== undefined) return resolveArchives(prefix, one, archives ?? {});
    const location = resolveLocation(prefix);
    await checkPrefix(location);
    return { location };
  }
  if (prefix !== undefined) await refuseOneFile(prefix);
  const table = resolveLocation(manifest.location);
  const form = {
    location: table,
    hasPrefix: prefix !== undefined,
    keyColumn: manifest.keyColumn ?? "key",
    labelColumn: manifest.labelColumn ?? null,
  };
  const { columns, unknown } = await checkManifest(form, {
    needs: needs.labels && form.labelColumn !== null ? [form.labelColumn] : [],
    ...(needs.others === undefined ? {} : { others: needs.others }),
    ...(manifest.allows === undefined ? {} : { allows: manifest.allows }),
  });
  const carried = needs.reserved === undefined ? [] : columns;
  const taken = carried.find(
    ({ name }) => needs.reserved?.includes(name) || /^(?:label|probability)_\d+$/.test(name),
  );
  if (taken !== undefined)
    throw new TrommelError(
      "bad-dataset",
      `cannot carry the column ${JSON.stringify(taken.name)} of ${table}, line 1, into the scores: they have a field of that name. Rename it${taken.name === "label" ? ", or say that it labels with --label-column label" : ""}`,
      { context: { file: table, line: 1, column: taken.name } },
    );
  for (const { name } of carried) {
    const what = unknown.get(name);
    if (what === undefined) continue;
    throw new TrommelError(
      "bad-dataset",
      `cannot carry the column ${JSON.stringify(name)} of ${table} into the scores: it holds ${what}; texts, integers, floating-point numbers, booleans, dates, timestamps, lists and structs are carried. Write it as one of these, or leave it out`,
      { context: { file: table, column: name } },
    );
  }
  const from: SourceForm = { type: "manifest", ...form, columns: [...carried] };
  return { location: prefix === undefined ? table : resolveLocation(prefix), from };
}

/** The keys of a manifest are looked for under a prefix. A bucket's is not listed, which may be forbidden. */
async function refuseOneFile(prefix: string): Promise<void> {
  if ((await findArchive(prefix)) !== undefined)
    throw new TrommelError(
      "invalid-argument",
      `cannot look for the manifest's keys in ${prefix}: it is an archive, whose images are listed without a manifest. Give the folder of the images, or leave --manifest out`,
    );
  const location = resolveLocation(prefix);
  if (location.startsWith("file:")) await checkPrefix(location);
}

async function resolveArchives(
  prefix: string,
  one: { readonly folder: string; readonly key: string } | undefined,
  { imageColumn = null, keyColumn = null, labelColumn = null }: Nullable<AskedArchives>,
): Promise<SourcePlace> {
  const location = resolveLocation(one?.folder ?? prefix);
  const form = { object: one?.key ?? null, imageColumn, keyColumn, labelColumn };
  await checkArchives(location, form);
  return { location, from: { type: "archives", ...form } };
}

type Nullable<T> = { readonly [Field in keyof T]?: T[Field] | null };

/** The archive that a location names, if it names one object and not a prefix. */
async function findArchive(
  location: string,
): Promise<{ readonly folder: string; readonly key: string } | undefined> {
  if (archiveKind(location) === undefined) return undefined;
  const { folder, key } = splitLocation(location);
  const store = openStore(folder);
  try {
    return (await store.head(key)) === undefined ? undefined : { folder, key };
  } finally {
    store.close();
  }
}
