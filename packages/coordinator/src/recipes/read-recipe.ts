import { readdir, readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf, TrommelError } from "@trommel/common";
import { parseYamlLines, type LineOf } from "./parse-yaml.js";
import { isMapping, mergeOver, type WrittenRecipe } from "./recipe-path.js";

/** The built-in recipes: `recipes/<name>.yaml` of this package. */
const builtInFolder = fileURLToPath(new URL("../../recipes/", import.meta.url));

/** A recipe as its author wrote it. */
export interface RecipeText {
  /** With the variant, if one was requested. */
  readonly name: string;
  /** The whole file, comments and variants included. */
  readonly text: string;
  /** With the variant merged over it, not yet checked. */
  readonly written: WrittenRecipe;
  /** Names of its variants, in the file's order. */
  readonly variants: readonly string[];
  /** The line, from 1, on which a field is written; undefined if the file does not contain it. */
  readonly lineOf: LineOf;
}

/** @returns names in alphabetical order */
export async function builtInNames(): Promise<string[]> {
  const files = await readdir(builtInFolder);
  return files
    .filter((file) => file.endsWith(".yaml"))
    .map((file) => basename(file, ".yaml"))
    .sort();
}

/**
 * A recipe by a built-in's name or by its file, either followed by `:variant`. A text with a path separator or an
 * extension of YAML or JSON is a file, any other a name.
 * @throws TrommelError `invalid-argument` for an unknown name or variant (listing the legal ones), or a file that does not
 *   exist or is not a recipe
 * @param folder where a relative path starts
 */
export async function readRecipeText(reference: string, folder = process.cwd()): Promise<RecipeText> {
  const { source, variant, isFile } = splitReference(reference);
  const file = isFile ? resolve(folder, source) : await builtInFile(source);
  let text: string;
  let value: unknown;
  let lineOf: LineOf;
  try {
    text = readText(await readFile(file));
    ({ value, lineOf } = parseYamlLines(text));
  } catch (cause) {
    throw new TrommelError("invalid-argument", `cannot read the recipe ${source}: ${whyUnread(cause)}`, {
      cause,
    });
  }
  if (!isMapping(value)) {
    throw new TrommelError(
      "invalid-argument",
      `cannot read the recipe ${source}: ${text.trim() === "" ? "it is empty" : "it is not a mapping of fields"}. ${howToWrite}`,
    );
  }
  const { variants, ...base } = value;
  const patches = readVariants(variants, source);
  const name = typeof base["name"] === "string" ? base["name"] : basename(source);
  if (variant === undefined) return { name, text, written: base, variants: [...patches.keys()], lineOf };
  const patch = patches.get(variant);
  if (patch === undefined) throw unknownVariant(source, variant, [...patches.keys()]);
  const written = mergeOver(base, { name: `${name}:${variant}`, ...patch });
  return {
    name: `${name}:${variant}`,
    text,
    written,
    variants: [...patches.keys()],
    lineOf: (path) => lineOf(["variants", variant, ...path]) ?? lineOf(path),
  };
}

const howToWrite =
  "Write YAML such as 'backbones: [mobilenetv2]'; 'trommel recipe show dog-breeds' prints one to start from";

/** @throws Error if it is not text in UTF-8 */
function readText(bytes: Uint8Array): string {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (!text.includes("\0")) return text;
  } catch (cause) {
    throw new Error(notText, { cause });
  }
  throw new Error(notText);
}

const notText = `it is not text in UTF-8. ${howToWrite}`;

function whyUnread(cause: unknown): string {
  const code = (cause as { code?: unknown }).code;
  if (code === "ENOENT")
    return "there is no such file. Check the path, or give the name of a built-in recipe";
  if (code === "EISDIR") return "it is a folder. Give the file in it";
  // After the first line YAML's message shows an excerpt of the file.
  return (messageOf(cause).split("\n")[0] ?? "").replace(/:$/, "");
}

function splitReference(reference: string): { source: string; variant: string | undefined; isFile: boolean } {
  const file = /^(.*\.(?:ya?ml|json))(?::([^:/\\]*))?$/i.exec(reference);
  if (file?.[1] !== undefined) return { source: file[1], variant: file[2], isFile: true };
  if (/[/\\]/.test(reference)) return { source: reference, variant: undefined, isFile: true };
  const colon = reference.indexOf(":");
  if (colon === -1) return { source: reference, variant: undefined, isFile: false };
  return { source: reference.slice(0, colon), variant: reference.slice(colon + 1), isFile: false };
}

async function builtInFile(name: string): Promise<string> {
  const names = await builtInNames();
  if (names.includes(name)) return `${builtInFolder}${name}.yaml`;
  throw new TrommelError(
    "invalid-argument",
    `cannot find the recipe ${JSON.stringify(name)}: the built-in ones are ${names.join(", ")}. Give one of them, or a file as ./${name}.yaml`,
    { context: { name, names } },
  );
}

function readVariants(value: unknown, source: string): Map<string, WrittenRecipe> {
  if (value === undefined) return new Map();
  const refused = (why: string): TrommelError =>
    new TrommelError(
      "invalid-argument",
      `cannot read the variants of the recipe ${source}: ${why}. Write 'variants: {name: {field: value}}'`,
    );
  if (!isMapping(value)) throw refused("they are not a mapping of names");
  return new Map(
    Object.entries(value).map(([name, patch]) => {
      if (!isMapping(patch)) throw refused(`${name} is not a mapping of fields`);
      return [name, patch];
    }),
  );
}

function unknownVariant(source: string, variant: string, variants: readonly string[]): TrommelError {
  const legal = variants.length === 0 ? "it has none" : `it has ${variants.join(", ")}`;
  return new TrommelError(
    "invalid-argument",
    `cannot find the variant ${JSON.stringify(variant)} of the recipe ${source}: ${legal}. 'trommel recipe ls' lists them`,
    { context: { variant, variants: [...variants] } },
  );
}
