import { z } from "zod";
import { sha256Hex } from "../../codec/canonical-json.js";
import { TrommelError } from "../../errors.js";
import { parseJsonAs } from "../../parse.js";
import type { SplitRecipe } from "../../recipe/split-recipe.js";
import type { ObjectStore } from "../../store/object-store.js";
import { readBounds } from "../../store/read-bounds.js";
import { runKeys } from "../store-keys.js";
import type { RunConfig } from "./run.js";

/** `division.json`: what a list of keys or a column of the labels' table says of how a run's images are divided. */
const divisionTable = z
  .object({
    formatVersion: z.literal(1),
    /** Keys of the test part in UTF-8 byte order; null if no list and no column names them. */
    test: z.array(z.string()).nullable(),
    /** [key, group] in UTF-8 byte order of the keys; null if no column holds the groups. */
    groups: z.array(z.tuple([z.string(), z.string()])).nullable(),
  })
  .strict();
export type DivisionTable = z.infer<typeof divisionTable>;

/** What is known of how an image is divided, by its key. */
export interface Division {
  /** The keys that the test part was asked to hold; undefined if its size is a share, or nothing is tested on. */
  readonly listed: ReadonlySet<string> | undefined;
  /** Undefined for an image that is its own group. */
  readonly groupOf: (key: string) => string | undefined;
  /** What groups the images, as in `the column "site"`; undefined if nothing does. */
  readonly groupedBy: string | undefined;
}

/**
 * How a run's images are divided, as its recipe and its `division.json` say.
 * @throws TrommelError `not-found`, `corrupt` where `division.json` is not the one that `run.json` names
 */
export async function readDivision(
  store: ObjectStore,
  config: Pick<RunConfig, "id" | "recipe" | "divisionSha256">,
): Promise<Division> {
  const table = await readTable(store, config);
  const byColumn = table?.groups === undefined || table.groups === null ? undefined : new Map(table.groups);
  return {
    listed: table?.test === undefined || table.test === null ? undefined : new Set(table.test),
    groupOf: byColumn === undefined ? groupsByKey(config.recipe.split.groups) : (key) => byColumn.get(key),
    groupedBy: groupedBy(config.recipe.split.groups),
  };
}

async function readTable(
  store: ObjectStore,
  { id, divisionSha256 }: Pick<RunConfig, "id" | "divisionSha256">,
): Promise<DivisionTable | undefined> {
  if (divisionSha256 === undefined) return undefined;
  const key = runKeys(id).division;
  const bytes = await store.get(key, readBounds.dataset);
  const found = sha256Hex(bytes);
  if (found === divisionSha256) return parseJsonAs(divisionTable, bytes, key);
  throw new TrommelError(
    "corrupt",
    `cannot read ${key}: it has sha256 ${found}, and run.json says ${divisionSha256}. Train again under another id (--run)`,
    { context: { key, found, expected: divisionSha256 } },
  );
}

function groupedBy(groups: SplitRecipe["groups"]): string | undefined {
  if (groups === null) return undefined;
  if ("column" in groups) return `the column ${JSON.stringify(groups.column)}`;
  return "folder" in groups
    ? `the folder at level ${groups.folder}`
    : `the pattern ${JSON.stringify(groups.pattern)}`;
}

/**
 * The group of an image by its key, normalised (Unicode NFC); undefined if it has none.
 *
 * A folder level gives the path down to that folder, so that equal names in two places are two groups; a pattern gives its first
 * capture, or all that it matches.
 */
function groupsByKey(groups: SplitRecipe["groups"]): (key: string) => string | undefined {
  if (groups === null || "column" in groups) return () => undefined;
  if ("folder" in groups) {
    return (key) => {
      const folders = key.normalize("NFC").split("/").slice(0, -1);
      return folders.length < groups.folder ? undefined : folders.slice(0, groups.folder).join("/");
    };
  }
  const pattern = new RegExp(groups.pattern, "u");
  return (key) => {
    const match = pattern.exec(key.normalize("NFC"));
    return match === null ? undefined : (match[1] ?? match[0]);
  };
}
