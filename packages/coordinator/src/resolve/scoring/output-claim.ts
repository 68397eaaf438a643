import { openStore, outputKeys, scoringConfig, TrommelError, type ScoringConfig } from "@trommel/common";
import { parseSealedAs, putJsonOnce, sealedJson } from "@trommel/common/codec";
import { locationOf, partInside, readBounds } from "@trommel/common/store";
import { checkWritable } from "../check-writable.js";
import { whyStoreItself } from "../inside-store.js";
import { differencesOf } from "./scoring-differences.js";

/** The place of a scoring's output: outside its images and the store's own files, and its own. */

/** Scores under the prefix that is being listed would be listed as images. */
export function refuseNested(source: string, output: string): void {
  if (partInside(source, output) === undefined) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot score ${source} into ${output}: the output is inside what is scored. Choose an --output outside it`,
  );
}

/** Artefacts under the source would be scored as images; hidden folders such as .trommel are not. */
export function refuseStoreInside(source: string, storeUrl: string): void {
  const inside = partInside(source, storeUrl);
  if (inside === undefined || inside.startsWith(".")) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot evaluate ${source}: the store ${storeUrl} is inside it and would be taken for images. Choose a --store outside it`,
  );
}

export function refuseStoreItself(output: string, storeUrl: string): void {
  const why = whyStoreItself(output, storeUrl);
  if (why === undefined) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot score into ${output}: ${why}. Choose another --output, such as ${locationOf(storeUrl, "scores")}`,
    { context: { output } },
  );
}

export async function claimOutput(config: ScoringConfig): Promise<void> {
  const output = openStore(config.output);
  const body = sealedJson(config);
  try {
    if ((await putJsonOnce(output, outputKeys.owner, body)) === "exists")
      requireOwner(config, await output.get(outputKeys.owner, readBounds.document));
  } finally {
    output.close();
  }
}

/** Refuses a taken output before anything is started for it. */
export async function checkOutput(config: ScoringConfig): Promise<void> {
  await checkWritable(config.output, "--output");
  const output = openStore(config.output);
  try {
    if ((await output.head(outputKeys.owner)) !== undefined)
      requireOwner(config, await output.get(outputKeys.owner, readBounds.document));
  } finally {
    output.close();
  }
}

function requireOwner(config: ScoringConfig, body: Uint8Array): void {
  const owner = parseSealedAs(scoringConfig, body, `${config.output}/${outputKeys.owner}`);
  if (owner.id === config.id) return;
  const differs = differencesOf(owner, config);
  throw new TrommelError(
    "conflict",
    `cannot score into ${config.output}: it holds the scoring ${owner.id} of ${owner.source} by ${owner.bundle.location}, and they differ in ${differs.map(({ words }) => words).join("; ")}. Choose another --output, or ask for what that scoring is`,
    { context: { output: config.output, owner: owner.id, fields: differs.map(({ field }) => field) } },
  );
}
