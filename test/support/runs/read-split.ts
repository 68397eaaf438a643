import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { runKeys, split } from "@trommel/common";
import { parseSealedAs } from "#common/codec/sealed-json";
import { parseShard } from "#common/artefacts/shards/parse-shard";

/** Keys of the images that a run in a folder store validates on, in listing order. */
export async function readValidationKeys(store: string, run: string): Promise<string[]> {
  const keys = runKeys(run);
  const read = (key: string): Promise<Buffer> => readFile(join(store, key));
  const { validation } = parseSealedAs(split, await read(keys.split), keys.split);
  const found: string[] = [];
  for (const [index, positions] of validation.entries()) {
    const { entries } = parseShard(await read(keys.shard(index)), keys.shard(index));
    for (const position of positions) {
      const entry = entries[position];
      if (entry === undefined) throw new Error(`shard ${index} has no image ${position}`);
      found.push(entry.key);
    }
  }
  return found;
}
