/**
 * The coordinator's memory while it lists a labelled prefix and chooses the split, without a Redis: `node
 * test/dist/bench/planning-memory.js <images> ranks|keys`. `keys` holds every key, as the choice did that the tests
 * compare with.
 */
import { canonicalJson, TrommelError, type ObjectInfo, type ObjectStore } from "@trommel/common";
import { chooseSplit, splitRank } from "@trommel/coordinator/plan/choose-split";
import { RankedImages } from "@trommel/coordinator/plan/ranked-images";
import { streamShards } from "@trommel/coordinator/plan/stream-shards";
import { chooseByKeys } from "../support/split-by-keys.js";

const images = Number(process.argv[2] ?? 1_000_000);
const holdsKeys = process.argv[3] === "keys";
const classCount = 1000;
const share = { fraction: 0.1, of: "class" } as const;

/** A bucket of so many objects, with keys of 59 bytes. */
async function* list(): AsyncGenerator<ObjectInfo> {
  const perClass = images / classCount;
  for (let i = 0; i < images; i += 1) {
    const label = String(Math.floor(i / perClass)).padStart(5, "0");
    const name = String(i).padStart(40, "0");
    yield { key: `class-${label}/${name}.jpeg`, sizeBytes: 1, etag: String(i) };
    if (i % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}
const source = { list } as unknown as ObjectStore;
const noShard = () => Promise.reject(new TrommelError("not-found", "no such shard"));
const store = {
  get: noShard,
  put: () => Promise.resolve("written"),
} as unknown as ObjectStore;

const before = process.memoryUsage().rss;
const ranked = new RankedImages();
const keysByLabel = new Map<string, string[]>();
for await (const { entries } of streamShards({
  source,
  store,
  shardKey: String,
  shardSize: 256,
  complete: undefined,
  signal: new AbortController().signal,
  skip: () => undefined,
})) {
  for (const { key } of entries) {
    const label = key.slice(0, key.indexOf("/"));
    if (!holdsKeys) ranked.add(label, splitRank(0, key), false);
    else if (keysByLabel.get(label)?.push(key) === undefined) keysByLabel.set(label, [key]);
  }
  ranked.endShard();
}
const listed = process.memoryUsage().rss;
const rankOf = (key: string) => splitRank(0, key);
const chosen = holdsKeys
  ? chooseByKeys(keysByLabel, { ...share, rankOf, remembered: new Set() })
  : chooseSplit(ranked, share);
const splitBytes = Buffer.from(canonicalJson(chosen)).length;
const mib = (bytes: number): number => Math.round(bytes / 2 ** 20);
const { maxRSS } = process.resourceUsage();
process.stdout.write(
  `${JSON.stringify({ images, holdsKeys, beforeMib: mib(before), listedMib: mib(listed), peakMib: mib(maxRSS * 1024), splitMib: mib(splitBytes) })}\n`,
);
