import {
  canonicalJson,
  featureFingerprint,
  recipe as recipeSchema,
  runConfig,
  runKeys,
  scoringConfig,
  scoringKeys,
  sha256Hex,
  type ObjectStore,
} from "@trommel/common";
import type { JobProducer } from "#coordinator/run-control/queueing/job-producer";
import { startAttempt } from "#coordinator/run-control/attempts";

/**
 * Runs and scorings whose pictures and models nobody looks at. Their configurations are written as `resolveRun` and `resolveScoring`
 * write them, which would look for both.
 */

const location = "file:///synthetic/pictures";

/** Of the one backbone, which is in no store. */
export const syntheticBackbone = { dimension: 16, inputSize: 32 } as const;

/** @returns its attempt */
export async function startSyntheticRun(
  store: ObjectStore,
  producer: JobProducer,
  id: string,
): Promise<number> {
  const hash = sha256Hex(id);
  const recipe = recipeSchema.parse({ backbones: ["synthetic"], views: { count: 1 } });
  const side = syntheticBackbone.inputSize;
  const config = runConfig.parse({
    ...{ formatVersion: 1, id, dataset: location, side, recipe },
    fingerprint: featureFingerprint(recipe, [hash], side),
    backbones: [{ id: `synthetic@${hash.slice(0, 12)}`, hash, ...syntheticBackbone }],
  });
  await store.put(runKeys(id).config, Buffer.from(canonicalJson(config), "utf8"));
  return started(await startAttempt(store, { kind: "run", id, config }, producer, undefined), id);
}

/** @param output location of its output @returns its attempt */
export async function startSyntheticScoring(
  store: ObjectStore,
  producer: JobProducer,
  id: string,
  output: string,
): Promise<number> {
  const bundle = { location: "s3://synthetic/bundle", modelSha256: sha256Hex(id) };
  const config = scoringConfig.parse({
    ...{
      formatVersion: 1,
      id,
      source: location,
      output,
      bundle,
      topK: 1,
      formats: ["jsonl"],
      shardSize: 256,
    },
  });
  await store.put(scoringKeys(id).config, Buffer.from(canonicalJson(config), "utf8"));
  return started(await startAttempt(store, { kind: "scoring", id, config }, producer, undefined), id);
}

function started(attempt: number | undefined, id: string): number {
  if (attempt === undefined) throw new Error(`another has started ${id}`);
  return attempt;
}
