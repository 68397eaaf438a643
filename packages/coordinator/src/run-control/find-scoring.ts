import {
  openStore,
  outputKeys,
  resolveLocation,
  scoringConfig,
  scoringKeys,
  TrommelError,
  type ObjectStore,
  type ScoringConfig,
} from "@trommel/common";
import { runId } from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { readIfThere } from "@trommel/common/store";
import { readResultOrFault } from "./result.js";

/** Scores that are there. */
export interface StoredScoring {
  /** Location of its output. */
  readonly location: string;
  readonly config: ScoringConfig;
}

/**
 * A scoring by its id or the location of its output.
 * @param folder the start of a relative path
 * @param doing completes "cannot … the scoring" in the message
 * @returns undefined if the text means neither
 * @throws TrommelError `conflict` if it is not complete
 */
export async function findScoring(
  store: ObjectStore,
  text: string,
  folder: string,
  doing: string,
): Promise<StoredScoring | undefined> {
  const own = runId.safeParse(text).success ? await readIfThere(store, scoringKeys(text).config) : undefined;
  if (own !== undefined) {
    const config = parseSealedAs(scoringConfig, own, scoringKeys(text).config);
    await requireComplete(store, config, doing);
    return { location: config.output, config };
  }
  const location = resolveLocation(text, folder);
  const output = openStore(location);
  try {
    const owner = await readIfThere(output, outputKeys.owner);
    if (owner === undefined) return undefined;
    const config = parseSealedAs(scoringConfig, owner, `${location}/${outputKeys.owner}`);
    if ((await store.head(scoringKeys(config.id).config)) !== undefined)
      await requireComplete(store, config, doing);
    return { location, config };
  } finally {
    output.close();
  }
}

async function requireComplete(store: ObjectStore, config: ScoringConfig, doing: string): Promise<void> {
  const { result, fault } = await readResultOrFault(store, { kind: "scoring", id: config.id, config });
  if (result !== undefined) return;
  const why = fault === undefined ? "it is not complete" : fault.message;
  throw new TrommelError(
    "conflict",
    `cannot ${doing} the scoring ${config.id}: ${why}. 'trommel resume ${config.id}' completes it`,
    { context: { id: config.id } },
  );
}
