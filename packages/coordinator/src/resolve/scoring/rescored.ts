import { scoringKeys, TrommelError, type ObjectStore, type ScoringConfig } from "@trommel/common";
import { findScoring } from "../../run-control/find-scoring.js";

/**
 * The scoring whose images are scored by another model.
 * @param text its id, or the location of its output
 * @throws TrommelError `not-found`, `conflict` where it is not complete, `invalid-argument` where it is by the same model
 */
export async function resolveRescored(
  { store, folder = process.cwd() }: { readonly store: ObjectStore; readonly folder?: string },
  text: string,
  bundle: { readonly location: string; readonly modelSha256: string },
): Promise<ScoringConfig> {
  const found = await findScoring(store, text, folder, "rescore");
  // Its shards are in the store, and not in its output.
  if (found === undefined || (await store.head(scoringKeys(found.config.id).config)) === undefined)
    throw new TrommelError(
      "not-found",
      `cannot rescore ${text}: there is no such scoring in ${store.url}. Give --rescore the id of a finished scoring or its output`,
      { context: { scoring: text } },
    );
  const { config } = found;
  if (config.bundle.modelSha256 !== bundle.modelSha256) return config;
  throw new TrommelError(
    "invalid-argument",
    `cannot rescore ${config.id} with ${bundle.location}: it is the model that scored it. Give another --model`,
    { context: { id: config.id } },
  );
}
