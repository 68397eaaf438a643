import {
  decodeFeatureShard,
  featureShardKey,
  featureShardMarker,
  openStore,
  outputKeys,
  parseJsonAs,
  readMarker,
  runConfig,
  runKeys,
  shard as shardSchema,
  type ObjectStore,
} from "@trommel/common";
import { parseSealedAs } from "#common/codec/sealed-json";
import { errorLine } from "#common/artefacts/shards/ledger";
import { generationOutput } from "@trommel/common/artefacts";
import { PartList } from "#common/artefacts/generations/part-list";
import { scoreRow } from "#common/artefacts/results/bundle";
import { partsOf, scoringSuccess } from "#common/artefacts/scores/scoring-output";

/** How often each file was accounted for, against how often it has to be: once. */
export interface RowCount {
  readonly lost: readonly string[];
  readonly doubled: readonly string[];
}

/** Compares what was accounted for with what was put into the bucket. */
function countRows(found: readonly string[], listed: readonly string[]): RowCount {
  const counts = new Map<string, number>();
  for (const key of found) counts.set(key, (counts.get(key) ?? 0) + 1);
  return {
    lost: listed.filter((key) => !counts.has(key)),
    doubled: [...counts].filter(([, count]) => count > 1).map(([key]) => key),
  };
}

/** Every view of every picture of a run, in its feature shards or, as a whole, in their failed rows. */
export async function countFeatureRows(
  store: ObjectStore,
  runId: string,
  listed: readonly string[],
): Promise<RowCount> {
  const keys = runKeys(runId);
  const config = parseSealedAs(runConfig, await store.get(keys.config), keys.config);
  const views = Array.from({ length: config.recipe.views.count }, (_, view) => view);
  const dimension = config.backbones.reduce((sum, backbone) => sum + backbone.dimension, 0);
  const found: string[] = [];
  for await (const { key: shardKey } of store.list(`${keys.root}/shards/`)) {
    const shard = parseJsonAs(shardSchema, await store.get(shardKey), shardKey);
    const name = featureShardKey(config.fingerprint, shard.hash);
    const { failed } = await readMarker(store, name, featureShardMarker);
    const rows = decodeFeatureShard(await store.get(name), name, dimension);
    for (const [row, position] of rows.image.entries())
      found.push(`${shard.entries[position]?.key} view ${rows.view[row]}`);
    for (const { key } of failed) for (const view of views) found.push(`${key} view ${view}`);
  }
  return countRows(
    found,
    listed.flatMap((key) => views.map((view) => `${key} view ${view}`)),
  );
}

/** Every picture of a scoring, in the parts that are current or in the errors of its last generation. */
export async function countScoreRows(location: string, listed: readonly string[]): Promise<RowCount> {
  const output = openStore(location);
  try {
    const success = parseJsonAs(scoringSuccess, await output.get(outputKeys.success), outputKeys.success);
    const parts = new PartList(partsOf(success));
    const found: string[] = [];
    for (let place = 0; place < parts.length; place += 1)
      for (const line of await linesOf(output, parts.key(place, "jsonl")))
        found.push(scoreRow.parse(JSON.parse(line)).key);
    const { failedImages } = generationOutput(success.generation?.number ?? 0);
    for (const line of await linesOf(output, failedImages)) found.push(errorLine.parse(JSON.parse(line)).key);
    return countRows(found, listed);
  } finally {
    output.close();
  }
}

async function linesOf(store: ObjectStore, key: string): Promise<string[]> {
  const text = Buffer.from(await store.get(key)).toString("utf8");
  return text.split("\n").filter((line) => line !== "");
}
