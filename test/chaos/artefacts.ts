import { canonicalJson, openStore, outputKeys, sha256Hex } from "@trommel/common";
import { scoringSuccess } from "#common/artefacts/scores/scoring-output";
import { parseSealedAs } from "#common/codec/sealed-json";
import { z } from "zod";
import { tinyBackbone } from "../support/models/tiny-backbone.js";

/** What a round is called by. */
export interface RoundNames {
  readonly run: string;
  /** Location of the scores; nothing lies there if the round scored nothing. */
  readonly output: string;
}

/** The backbone that is older than any round. A tuned one is of its round. */
const importedBackbone = `backbones/${tinyBackbone.id}/`;

const text = /\.(json|jsonl|csv|html|txt)$/;
/** Their own hash is of the round's names, too. */
const configuration = /(^|\/)(run|scoring)\.json$/;
const markerOfText = /\.(json|jsonl|csv)\.json$/;

/**
 * The sha256 of every object that a training and a scoring leave behind, with the round's own names taken out of keys and
 * texts, so that rounds can be compared. The imported backbone is left out.
 */
export async function hashArtefacts(storeUrl: string, names: RoundNames): Promise<Map<string, string>> {
  const scoring = await scoringOf(names.output);
  const neutral = (words: string): string =>
    [[names.output, "OUTPUT"], ...scoring.map((id) => [id, "SCORING"]), [names.run, "RUN"]].reduce(
      (neutralized, [name = "", word = ""]) => neutralized.replaceAll(name, word),
      words,
    );
  const hashes = new Map<string, string>();
  for (const location of [storeUrl, names.output]) {
    const store = openStore(location);
    const label = location === storeUrl ? "store" : "output";
    for await (const { key } of store.list("")) {
      if (key.startsWith(importedBackbone) || isOfAttempt(key)) continue;
      const bytes = await store.get(key);
      const body = text.test(key)
        ? neutral(configuration.test(key) ? unsealed(bytes, key) : textOf(bytes))
        : bytes;
      // The marker of a text has the hash of the round's names.
      const marked = markerOfText.test(key) ? sha256Hex(await store.get(key.slice(0, -".json".length))) : "";
      hashes.set(
        `${label}/${neutral(key)}`,
        sha256Hex(marked === "" ? body : neutral(textOf(bytes).replace(marked, "HASH"))),
      );
    }
    store.close();
  }
  return hashes;
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}

/** A configuration without its hash, which is held against it. */
function unsealed(bytes: Uint8Array, key: string): string {
  return canonicalJson(parseSealedAs(z.looseObject({}), bytes, key));
}

/** A cancellation that came as the run ended stays beside what it did not prevent. */
function isOfAttempt(key: string): boolean {
  return /^runs\/[^/]+\/cancelled\.json$/.test(key);
}

/** The id of the scoring, if there is one. */
async function scoringOf(location: string): Promise<string[]> {
  const output = openStore(location);
  try {
    if ((await output.head(outputKeys.success)) === undefined) return [];
    const success = JSON.parse(Buffer.from(await output.get(outputKeys.success)).toString("utf8")) as unknown;
    return [scoringSuccess.parse(success).scoring];
  } finally {
    output.close();
  }
}

/** Names of the artefacts that are not what they are in the undisturbed round, each with how. */
export function differences(
  found: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
): string[] {
  return [...new Set([...found.keys(), ...expected.keys()])].sort().flatMap((name) => {
    if (found.get(name) === expected.get(name)) return [];
    if (!found.has(name)) return [`${name} is missing`];
    return [expected.has(name) ? `${name} has other bytes` : `${name} is new`];
  });
}

/** Removes what a round left, so that the next one has everything to do again. */
export async function removeArtefacts(storeUrl: string, names: RoundNames): Promise<void> {
  for (const location of [storeUrl, names.output]) {
    const store = openStore(location);
    const keys: string[] = [];
    for await (const { key } of store.list("")) if (!key.startsWith(importedBackbone)) keys.push(key);
    await store.delete(keys);
    store.close();
  }
}
