import {
  openStore,
  outputKeys,
  resolveLocation,
  runKeys,
  scoringConfig,
  scoringKeys,
  TrommelError,
  type ObjectStore,
  type ScoringConfig,
} from "@trommel/common";
import { runId, sortingKeys } from "@trommel/common/artefacts";
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
  const found = await lookUp(store, text, folder);
  if (found?.isOwn === true) await requireComplete(store, found.config, doing);
  return found;
}

/**
 * A scoring that the store itself has, complete or not, by its id or the location of its output.
 * @param doing completes "cannot … <text>" in the message
 * @throws TrommelError `not-found`, `invalid-argument` for the id of a run or sorting
 */
export async function requireScoring(
  store: ObjectStore,
  text: string,
  folder: string,
  doing: string,
): Promise<ScoringConfig> {
  const found = await lookUp(store, text, folder);
  if (found?.isOwn === true) return found.config;
  const context = { scoring: text };
  const isId = found === undefined && runId.safeParse(text).success;
  for (const [kind, key] of isId ? Object.entries(otherKinds) : [])
    if ((await store.head(key(text))) !== undefined)
      throw new TrommelError(
        "invalid-argument",
        `cannot ${doing} ${text}: it is a ${kind}. Give a finished scoring, by its id ('trommel status' lists them) or its output`,
        { context },
      );
  const why =
    found === undefined
      ? `it is no scoring of ${store.url} and no output of one. Give a finished scoring, by its id ('trommel status' lists them) or its output`
      : `it is the output of ${found.config.id}, which ${store.url} does not have. Give the --store of that scoring`;
  throw new TrommelError("not-found", `cannot ${doing} ${text}: ${why}`, { context });
}

/** As {@link requireScoring}. @throws TrommelError besides, `conflict` if it is not complete */
export async function requireFinishedScoring(
  store: ObjectStore,
  text: string,
  folder: string,
  doing: string,
): Promise<ScoringConfig> {
  const config = await requireScoring(store, text, folder, doing);
  await requireComplete(store, config, doing);
  return config;
}

async function lookUp(
  store: ObjectStore,
  text: string,
  folder: string,
): Promise<(StoredScoring & { readonly isOwn: boolean }) | undefined> {
  const own = runId.safeParse(text).success ? await readIfThere(store, scoringKeys(text).config) : undefined;
  if (own !== undefined) {
    const config = parseSealedAs(scoringConfig, own, scoringKeys(text).config);
    return { location: config.output, config, isOwn: true };
  }
  const location = resolveLocation(text, folder);
  const output = openStore(location);
  try {
    const owner = await readIfThere(output, outputKeys.owner);
    if (owner === undefined) return undefined;
    const config = parseSealedAs(scoringConfig, owner, `${location}/${outputKeys.owner}`);
    return { location, config, isOwn: (await store.head(scoringKeys(config.id).config)) !== undefined };
  } finally {
    output.close();
  }
}

const otherKinds = {
  run: (id: string) => runKeys(id).config,
  sorting: (id: string) => sortingKeys(id).config,
} as const;

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
