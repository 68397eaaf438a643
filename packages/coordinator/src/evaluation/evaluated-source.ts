import {
  openStore,
  resolveLocation,
  runKeys,
  scoringConfig,
  scoringKeys,
  TrommelError,
  type ObjectStore,
  type ScoringConfig,
} from "@trommel/common";
import { runId } from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { readIfThere } from "@trommel/common/store";
import { ownerKey } from "../resolve/scoring.js";
import { readResultOrFault } from "../run-control/result.js";

/** Scores that are there. */
export interface StoredScoring {
  /** Location of its output. */
  readonly location: string;
  readonly config: ScoringConfig;
}

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
  const scoring = await findScoring(store, text, folder);
  if (scoring !== undefined) return { kind: "scoring", ...scoring };
  if (isId(text) && (await store.head(runKeys(text).config)) !== undefined) {
    throw new TrommelError(
      "invalid-argument",
      `cannot evaluate ${text}: it is a run. Give labelled images or a scoring, and the run as --model`,
    );
  }
  return { kind: "images", location: resolveLocation(text, folder) };
}

/**
 * A scoring by its id or the location of its output.
 * @returns undefined if the text means neither
 * @throws TrommelError `conflict` if it is not complete
 */
export async function findScoring(
  store: ObjectStore,
  text: string,
  folder: string,
): Promise<StoredScoring | undefined> {
  const own = isId(text) ? await readIfThere(store, scoringKeys(text).config) : undefined;
  if (own !== undefined) {
    const config = parseSealedAs(scoringConfig, own, scoringKeys(text).config);
    await requireComplete(store, config);
    return { location: config.output, config };
  }
  const location = resolveLocation(text, folder);
  const output = openStore(location);
  try {
    const owner = await readIfThere(output, ownerKey);
    if (owner === undefined) return undefined;
    const config = parseSealedAs(scoringConfig, owner, `${location}/${ownerKey}`);
    if ((await store.head(scoringKeys(config.id).config)) !== undefined) await requireComplete(store, config);
    return { location, config };
  } finally {
    output.close();
  }
}

function isId(text: string): boolean {
  return runId.safeParse(text).success;
}

async function requireComplete(store: ObjectStore, config: ScoringConfig): Promise<void> {
  const { result, fault } = await readResultOrFault(store, { kind: "scoring", id: config.id, config });
  if (result !== undefined) return;
  const why = fault === undefined ? "it is not complete" : fault.message;
  throw new TrommelError(
    "conflict",
    `cannot evaluate the scoring ${config.id}: ${why}. 'trommel resume ${config.id}' completes it`,
    { context: { id: config.id } },
  );
}
