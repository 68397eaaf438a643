import { messageOf, someOf, TrommelError } from "@trommel/common";
import { keyHash, KeyHashes, type CarriedColumn, type ManifestForm } from "@trommel/common/artefacts";
import { isObjectLocation, locateObject, openObjects, whyIllegalKey } from "@trommel/common/store";
import { TableFaults } from "../../labels/faults/table-faults.js";
import { quoteVisibly, tidyText } from "../../labels/text/check-label.js";
import { TypeOfColumn } from "./carried-values.js";
import { openManifest, type ManifestFile } from "./manifest-files.js";
import { manifestRows } from "./manifest-rows.js";
import type { TableRow } from "./table-row.js";

interface ManifestNeeds {
  readonly needs?: readonly string[];
  readonly others?: readonly string[];
  /** Whether a row may name its image by this whole location. @default every one may */
  readonly allows?: (location: string) => boolean;
}

export interface CheckedManifest {
  /** Every column but those of keys and labels, in the order in which they first occur. */
  readonly columns: readonly CarriedColumn[];
  /** Those of them whose values no score could have, and what these are. */
  readonly unknown: ReadonlyMap<string, string>;
}

/**
 * Reads a manifest once from its first row to its last, before anything is queued. It holds the hash of each key and no row.
 * @param asked.needs columns that a training reads of every row. @param asked.others columns in which a cell may be empty
 * @throws TrommelError `bad-dataset` naming file and row: a column that is missing, an illegal or repeated key, a row
 *   without a label; `forbidden`, `not-found` for a place that cannot be read at all
 */
export async function checkManifest(
  form: Omit<ManifestForm, "columns" | "type">,
  asked: ManifestNeeds = {},
): Promise<CheckedManifest> {
  const manifest = await openManifest(form.location);
  try {
    const check = new ManifestCheck(form, asked);
    for (const file of manifest.files) await check.read(file);
    if (check.rows === 0)
      throw new TrommelError(
        "bad-dataset",
        `cannot read the manifest ${form.location}: it has no row. Add a row for each image`,
      );
    await requireDistinct(form, manifest.files, check.repeated);
    await requireReadable(check.places);
    return { columns: check.columns(), unknown: check.unknown() };
  } finally {
    manifest.close();
  }
}

class ManifestCheck {
  rows = 0;
  /** Hashes of keys that occur twice, or of two keys. */
  readonly repeated = new Set<string>();
  /** A row of each bucket and server that keys lead to, by its location. */
  readonly places = new Map<string, { readonly file: string; readonly line: number; readonly key: string }>();
  readonly #form: Omit<ManifestForm, "columns" | "type">;
  readonly #needs: readonly string[];
  readonly #wanted: readonly string[];
  readonly #allows: (location: string) => boolean;
  readonly #keys = new KeyHashes();
  readonly #types = new Map<string, TypeOfColumn>();

  constructor(form: Omit<ManifestForm, "columns" | "type">, asked: ManifestNeeds) {
    const { keyColumn, labelColumn } = form;
    const { needs = [], others = [], allows = () => true } = asked;
    this.#allows = allows;
    this.#form = form;
    this.#needs = needs;
    this.#wanted = [keyColumn, ...(labelColumn === null ? [] : [labelColumn]), ...needs, ...others];
  }

  async read(file: ManifestFile): Promise<void> {
    const faults = new TableFaults(file.name);
    let names: readonly string[] | undefined;
    const found = new Set<string>();
    for await (const row of manifestRows(file, this.#wanted, true)) {
      if (row.names !== names) {
        names = row.names;
        for (const name of names) found.add(name);
        for (const [name, type] of row.types ?? []) this.#typeOf(name).declare(type);
        // JSON objects may leave a column out; a header names them all.
        if (file.format !== "jsonl") this.#requireColumns(faults, found);
      }
      this.rows += 1;
      this.#readRow(faults, row);
    }
    if (names !== undefined) this.#requireColumns(faults, found);
    faults.check("read the manifest");
  }

  #readRow(faults: TableFaults, { line, names, types, cell }: TableRow): void {
    const { keyColumn } = this.#form;
    const key = cell(keyColumn);
    if (typeof key === "string" && key !== "") this.#addKey(faults, line, key);
    else faults.add(line, `its ${JSON.stringify(keyColumn)} is ${isEmpty(key) ? "empty" : "no text"}`);
    for (const column of this.#needs)
      if (isEmpty(cell(column)))
        faults.add(
          line,
          `its ${JSON.stringify(column)} is empty, and training needs it of every image`,
          "Fill it in, or leave the row out",
        );
    if (types === undefined) for (const name of names) this.#typeOf(name).add(cell(name));
  }

  columns(): CarriedColumn[] {
    const own = new Set([this.#form.keyColumn, this.#form.labelColumn]);
    return [...this.#types].flatMap(([name, { type }]) =>
      own.has(name) || name === "" ? [] : [{ name, ...type }],
    );
  }

  unknown(): Map<string, string> {
    return new Map(
      [...this.#types].flatMap(([name, { unknown }]) => (unknown === undefined ? [] : [[name, unknown]])),
    );
  }

  #typeOf(name: string): TypeOfColumn {
    let type = this.#types.get(name);
    if (type === undefined) this.#types.set(name, (type = new TypeOfColumn()));
    return type;
  }

  #requireColumns(faults: TableFaults, found: ReadonlySet<string>): void {
    const missing = this.#wanted.find((column) => !found.has(column));
    if (missing === undefined) return;
    const { keyColumn, labelColumn } = this.#form;
    const flags = new Map([
      [labelColumn, "--label-column"],
      [keyColumn, "--key-column"],
    ]);
    const has = [...found].map((name) => JSON.stringify(name));
    throw faults.last(
      "read the manifest",
      1,
      `it has no column ${JSON.stringify(missing)}; it has ${someOf(has, 20)}`,
      `Name another with ${flags.get(missing) ?? "the recipe's split"}, or add the column`,
    );
  }

  #addKey(faults: TableFaults, line: number, key: string): void {
    const why = this.#whyIllegal(faults.file, line, key);
    if (why !== undefined) {
      faults.add(line, why.why, why.remedy);
      return;
    }
    const repeated = this.#keys.add(key);
    if (repeated !== undefined) this.repeated.add(repeated);
  }

  #whyIllegal(file: string, line: number, key: string): { why: string; remedy?: string } | undefined {
    if (!isObjectLocation(key)) {
      if (!this.#form.hasPrefix)
        return {
          why: `${quoteVisibly(key)} is no whole location (s3://…, file:///…, https://…)`,
          remedy: "Give the prefix that the keys are under, or write whole locations",
        };
      const why = whyIllegalKey(key);
      return why === undefined ? undefined : { why: `${quoteVisibly(key)} is no legal key: ${why}` };
    }
    try {
      const { root, key: of } = locateObject(key);
      if (!this.#allows(key))
        return {
          why: `${quoteVisibly(key)} lies outside the places that this request may name`,
          remedy: "Leave the row out, or submit it on the command line",
        };
      if (!root.startsWith("file:") && !this.places.has(root)) this.places.set(root, { file, line, key: of });
      return undefined;
    } catch (thrown) {
      return { why: messageOf(thrown), remedy: "Correct the line" };
    }
  }
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || (typeof value === "string" && tidyText(value) === "");
}

/** Compares keys whose hashes are equal; a manifest without repeated keys is not read again. */
async function requireDistinct(
  { keyColumn }: Pick<ManifestForm, "keyColumn">,
  files: readonly ManifestFile[],
  repeated: ReadonlySet<string>,
): Promise<void> {
  if (repeated.size === 0) return;
  const first = new Map<string, { readonly file: string; readonly line: number }>();
  for (const file of files) {
    const faults = new TableFaults(file.name);
    for await (const { line, cell } of manifestRows(file, [keyColumn])) {
      const key = cell(keyColumn);
      if (typeof key !== "string" || !repeated.has(keyHash(key))) continue;
      const earlier = first.get(key);
      if (earlier === undefined) first.set(key, { file: file.name, line });
      else {
        const where =
          earlier.file === file.name ? `line ${earlier.line}` : `${earlier.file}, line ${earlier.line}`;
        faults.add(line, `the key ${quoteVisibly(key)} is on ${where} too`, "Keep one of them");
      }
    }
    faults.check("read the manifest");
  }
}

/** @throws TrommelError the first place's error, naming the row that leads there */
async function requireReadable(places: ManifestCheck["places"]): Promise<void> {
  for (const [root, { file, line, key }] of places) {
    const store = openObjects(root);
    try {
      await store.head(key);
    } catch (thrown) {
      if (!(thrown instanceof TrommelError)) throw thrown;
      throw new TrommelError(
        thrown.code,
        `cannot read what ${file}, line ${line}, names: ${thrown.message}`,
        { cause: thrown, retryable: thrown.retryable, context: { ...thrown.context, file, line } },
      );
    } finally {
      store.close();
    }
  }
}
