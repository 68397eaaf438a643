import { resolveLocation, TrommelError } from "@trommel/common";
import type { SourceForm } from "@trommel/common/artefacts";
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
}

/** Where the images of a call come from. */
interface AskedSource {
  /** A folder or `s3://bucket/prefix`; undefined for a manifest of whole locations, and not without one. */
  readonly prefix: string | undefined;
  readonly manifest?: AskedManifest | undefined;
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
  { prefix, manifest }: AskedSource,
  needs: SourceNeeds,
): Promise<SourcePlace> {
  if (manifest === undefined) {
    if (prefix === undefined)
      throw new TrommelError(
        "invalid-argument",
        "cannot list images: none are named. Give their <prefix>, or --manifest <file>",
      );
    const location = resolveLocation(prefix);
    await checkPrefix(location);
    return { location };
  }
  const table = resolveLocation(manifest.location);
  const form = {
    location: table,
    hasPrefix: prefix !== undefined,
    keyColumn: manifest.keyColumn ?? "key",
    labelColumn: manifest.labelColumn ?? null,
  };
  const { columns } = await checkManifest(form, {
    needs: needs.labels && form.labelColumn !== null ? [form.labelColumn] : [],
    ...(needs.others === undefined ? {} : { others: needs.others }),
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
  const from: SourceForm = { type: "manifest", ...form, columns: [...carried] };
  return { location: prefix === undefined ? table : resolveLocation(prefix), from };
}
