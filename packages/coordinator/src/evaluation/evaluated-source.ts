import { resolveLocation, runKeys, TrommelError, type ObjectStore } from "@trommel/common";
import { runId } from "@trommel/common/artefacts";
import { findScoring, type StoredScoring } from "../run-control/find-scoring.js";

/** What is evaluated: images that a model must score first, or scores that are there. */
export type EvaluatedSource =
  { readonly kind: "images"; readonly location: string } | ({ readonly kind: "scoring" } & StoredScoring);

/**
 * Finds out what a text means: the id of a scoring, the output of one, or a prefix of images.
 * @param folder the start of a relative path
 * @throws TrommelError `conflict` for a scoring that is not complete, `invalid-argument` for a run
 */
export async function findEvaluatedSource(
  store: ObjectStore,
  text: string,
  folder: string,
): Promise<EvaluatedSource> {
  const scoring = await findScoring(store, text, folder, "evaluate");
  if (scoring !== undefined) return { kind: "scoring", ...scoring };
  if (runId.safeParse(text).success && (await store.head(runKeys(text).config)) !== undefined) {
    throw new TrommelError(
      "invalid-argument",
      `cannot evaluate ${text}: it is a run. Give labelled images or a scoring, and the run as --model`,
    );
  }
  return { kind: "images", location: resolveLocation(text, folder) };
}
