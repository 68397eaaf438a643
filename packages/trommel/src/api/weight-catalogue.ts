import { readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { TrommelError, messageOf, parseAs, weightCatalogue, type CatalogueEntry } from "@trommel/common";
import { parseYamlText } from "@trommel/coordinator/recipes";

const maxCatalogueBytes = 16 * 2 ** 20;

/**
 * A catalogue of weights: YAML or JSON, a list of the same form as the built-in one.
 * @throws TrommelError `not-found`, `too-large`, `invalid-argument` naming the file and what is wrong in it
 */
export async function readCatalogue(path: string): Promise<CatalogueEntry[]> {
  let text: string;
  try {
    if ((await stat(path)).size > maxCatalogueBytes) {
      throw new TrommelError(
        "too-large",
        `cannot read the catalogue ${path}: it has more than ${maxCatalogueBytes} bytes`,
      );
    }
    text = await readFile(path, "utf8");
  } catch (thrown) {
    if (thrown instanceof TrommelError) throw thrown;
    throw new TrommelError("not-found", `cannot read the catalogue ${path}: ${messageOf(thrown)}`);
  }
  let parsed: unknown;
  try {
    parsed = parseYamlText(text);
  } catch (thrown) {
    throw new TrommelError(
      "invalid-argument",
      `cannot read the catalogue ${path}: it is neither YAML nor JSON (${messageOf(thrown)})`,
    );
  }
  return parseAs(weightCatalogue, parsed, `the catalogue ${path}`);
}

/** The folder of downloads: `TROMMEL_CACHE`, else as the XDG base directory specification says. */
export function cacheFolder(environment: Readonly<Record<string, string | undefined>>): string {
  const { TROMMEL_CACHE: own = "", XDG_CACHE_HOME: shared = "" } = environment;
  if (own !== "") return resolve(own);
  // That specification has relative paths ignored.
  return join(isAbsolute(shared) ? shared : join(homedir(), ".cache"), "trommel");
}
