import { createHash } from "node:crypto";
import {
  canonicalJson,
  featureDimension,
  openStore,
  runConfig,
  runKeys,
  TrommelError,
  type ObjectStore,
} from "@trommel/common";
import { resolveRunFeatures, type ResolvedRun } from "@trommel/common/artefacts";
import { jsonBytes, parseSealedAs, putJson, putJsonOnce, readInput } from "@trommel/common/codec";
import { readBounds, readIfThere } from "@trommel/common/store";
import type { ExportedFeatures, ExportedFile, ExportFeaturesOptions } from "@trommel/common/worker-commands";
import { readListing } from "../stages/inputs/listing.js";
import { readRequired } from "../stages/inputs/read-required.js";
import { keyLines, npyFeatures, parquetFeatures } from "./feature-files.js";
import { StoredFeatures, type FeatureRows } from "./feature-rows.js";

/** In the target: which export it is, and what it came to, written last. */
const claimKey = "_trommel/features.json";
const successKey = "_SUCCESS.json";

/**
 * Writes what a run has stored of its images into files of their own.
 *
 * In: the run's feature shards, one after another. Out: `embeddings.parquet`, or `embeddings.npy` with the keys of its rows in
 * `keys.jsonl`, each seen whole or not at all, and at last `_SUCCESS.json`. A second try after an interruption writes them again.
 * @throws TrommelError `missing-input` if the run is not extracted to its end, `conflict` if the target holds something else
 */
export async function exportFeatures(
  options: ExportFeaturesOptions,
  signal: AbortSignal,
  onShard: (done: number, shards: number) => void,
): Promise<ExportedFeatures> {
  const { storeUrl, into, format } = options;
  const store = openStore(storeUrl);
  const output = openStore(into);
  try {
    const run = await readRun(store, options.run);
    const { shards } = await readListing(store, runKeys(run.id).listing);
    const type = options.type ?? run.recipe.featureType;
    const features = new StoredFeatures(store, run, { shards, signal });
    const rows = await features.count();
    await claim(output, { run: run.id, fingerprint: run.fingerprint, format, type });
    const numbers = { dimension: featureDimension(run), type };
    let done = 0;
    async function* counted(): AsyncGenerator<FeatureRows> {
      for await (const shard of features.rows()) {
        yield shard;
        onShard((done += 1), shards);
      }
    }
    const files =
      format === "parquet"
        ? [await write(output, "embeddings.parquet", parquetFeatures(counted(), numbers, metadataOf(run)))]
        : [
            await write(output, "embeddings.npy", npyFeatures(counted(), numbers, rows)),
            await write(output, "keys.jsonl", keyLines(features.names())),
          ];
    const exported: ExportedFeatures = {
      ...{ formatVersion: 1, run: run.id, into, format, ...numbers },
      ...{ rows, views: run.recipe.views.count, files },
    };
    await putJson(output, successKey, jsonBytes(exported));
    return exported;
  } finally {
    output.close();
    store.close();
  }
}

/** A run of an earlier version too: its features are not mixed with others. */
async function readRun(store: ObjectStore, id: string): Promise<ResolvedRun> {
  const key = runKeys(id).config;
  return resolveRunFeatures(store, parseSealedAs(runConfig, await readRequired(store, key), key), readInput);
}

/** The backbones whose embeddings stand side by side in a row, in their order. */
function metadataOf({ id, backbones }: ResolvedRun): Record<string, string> {
  return { run: id, backbones: JSON.stringify(backbones.map((backbone) => backbone.id)) };
}

async function write(
  output: ObjectStore,
  file: string,
  chunks: AsyncIterable<Uint8Array>,
): Promise<ExportedFile> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  async function* hashed(): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      sizeBytes += chunk.byteLength;
      yield chunk;
    }
  }
  await output.putStream(file, hashed());
  return { file, sizeBytes, sha256: hash.digest("hex") };
}

/** Takes an empty target, or one that the same export left unfinished. */
async function claim(output: ObjectStore, of: Readonly<Record<string, string>>): Promise<void> {
  const owner = await readIfThere(output, claimKey, readBounds.document);
  const body = jsonBytes({ formatVersion: 1, ...of });
  const isOwn = owner !== undefined && Buffer.from(owner).equals(body);
  const found = isOwn
    ? (await output.head(successKey)) && "this export already, complete"
    : owner === undefined
      ? await firstObject(output)
      : `another export: ${canonicalJson(JSON.parse(Buffer.from(owner).toString("utf8")))}`;
  if (found !== undefined)
    throw new TrommelError(
      "conflict",
      `cannot export features into ${output.url}: it holds ${found}. Choose another --into`,
      { context: { into: output.url } },
    );
  await putJsonOnce(output, claimKey, body);
}

async function firstObject(output: ObjectStore): Promise<string | undefined> {
  try {
    for await (const { key } of output.list("")) return JSON.stringify(key);
  } catch (thrown) {
    if (!(thrown instanceof TrommelError) || thrown.code !== "not-found") throw thrown;
  }
  return undefined;
}
