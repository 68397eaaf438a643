import { TrommelError, type ObjectStore, type ScoringConfig } from "@trommel/common";
import { requireFinishedScoring } from "../../run-control/find-scoring.js";

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
  const config = await requireFinishedScoring(store, text, folder, "rescore");
  if (config.bundle.modelSha256 !== bundle.modelSha256) return config;
  throw new TrommelError(
    "invalid-argument",
    `cannot rescore ${config.id} with ${bundle.location}: it is the model that scored it. Give another --model`,
    { context: { id: config.id } },
  );
}
