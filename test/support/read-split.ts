import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { runKeys, shard, split } from "@trommel/common";

/** Keys of the images that a run in a folder store validates on, in listing order. */
export async function readValidationKeys(store: string, run: string): Promise<string[]> {
  const keys = runKeys(run);
  const read = async (key: string): Promise<unknown> => JSON.parse(await readFile(join(store, key), "utf8"));
  const { validation } = split.parse(await read(keys.split));
  const found: string[] = [];
  for (const [index, positions] of validation.entries()) {
    const { entries } = shard.parse(await read(keys.shard(index)));
    for (const position of positions) {
      const entry = entries[position];
      if (entry === undefined) throw new Error(`shard ${index} has no image ${position}`);
      found.push(entry.key);
    }
  }
  return found;
}
