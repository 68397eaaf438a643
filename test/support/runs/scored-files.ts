import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  openStore,
  outputKeys,
  scoringConfig,
  scoringKeys,
  shardHash,
  type ObjectStore,
  type ScoringConfig,
} from "@trommel/common";
import { PartList } from "@trommel/common/artefacts";
import { jsonBytes, parseSealedAs } from "@trommel/common/codec";
import { writeScores } from "./written-scores.js";

/** A finished scoring of files that each hold their own key, in a store of its own. */
export interface ScoredFiles {
  readonly store: ObjectStore;
  readonly storeFolder: string;
  readonly config: ScoringConfig;
  /** Folder of the files. */
  readonly source: string;
}

/** The classes, of which every second file is the last: a label may hold whatever a folder may. */
const sortedClasses = ["可回收物/易拉罐", "glass"] as const;

/** @param keys in order; every fourth is scored with 0.55, the others with 0.95 */
export async function scoreFiles(root: string, name: string, keys: readonly string[]): Promise<ScoredFiles> {
  const source = join(root, "pictures");
  for (const folder of new Set(keys.map((key) => dirname(join(source, key)))))
    await mkdir(folder, { recursive: true });
  for (const key of keys) await writeFile(join(source, key), key);
  const storeFolder = join(root, "store");
  const store = openStore(storeFolder);
  const rows = keys.map((key, i) => {
    const likeliest = i % 4 === 0 ? 0.55 : 0.95;
    return { key, probabilities: i % 2 === 0 ? [1 - likeliest, likeliest] : [likeliest, 1 - likeliest] };
  });
  const location = pathToFileURL(join(root, "scores")).href;
  const written = { location, name, classes: sortedClasses, rows, source: pathToFileURL(source).href };
  const { id, parts } = await writeScores(written, store);
  const images = openStore(source);
  for (let index = 0; index < new PartList(parts).length; index += 1) {
    const lines = await readFile(join(root, "scores", outputKeys.part(index, "jsonl")), "utf8");
    const listed = lines
      .split("\n")
      .filter(Boolean)
      .map((line) => (JSON.parse(line) as { key: string }).key);
    const entries = await Promise.all(
      listed.map(async (key) => {
        const { etag = "" } = (await images.head(key)) ?? {};
        return { key, sizeBytes: (await stat(join(source, key))).size, etag };
      }),
    );
    const shard = { formatVersion: 1, index, hash: shardHash(entries), entries, skipped: [] };
    await store.put(scoringKeys(id).shard(index), jsonBytes(shard));
  }
  const key = scoringKeys(id).config;
  const config = parseSealedAs(scoringConfig, await store.get(key), key);
  return { store, storeFolder, config, source };
}

/** Where the file of this number goes below the target. */
export function sortedPlace(key: string, number: number): string {
  return join(sortedClasses[number % 2 === 0 ? 1 : 0], key);
}
