import { canonicalJson, openStore, outputKeys, sha256Hex } from "@trommel/common";
import { scoringSuccess } from "#common/artefacts/results/scoring-output";
import { parseSealedAs } from "#common/codec/sealed-json";
import { z } from "zod";

/** What a round is called by. */
export interface RoundNames {
  readonly run: string;
  /** Location of the scores. */
  readonly output: string;
}

const text = /\.(json|jsonl|csv|html|txt)$/;
/** Their own hash is of the round's names, too. */
const configuration = /(^|\/)(run|scoring)\.json$/;

/**
 * The sha256 of every object that a training and a scoring leave behind, with the round's own names taken out of keys and
 * texts, so that rounds can be compared. Backbones are older than any round and left out.
 */
export async function hashArtefacts(storeUrl: string, names: RoundNames): Promise<Map<string, string>> {
  const scoring = await scoringOf(names.output);
  const neutral = (words: string): string =>
    words.replaceAll(names.output, "OUTPUT").replaceAll(scoring, "SCORING").replaceAll(names.run, "RUN");
  const hashes = new Map<string, string>();
  for (const location of [storeUrl, names.output]) {
    const store = openStore(location);
    const label = location === storeUrl ? "store" : "output";
    for await (const { key } of store.list("")) {
      if (key.startsWith("backbones/") || isOfAttempt(key)) continue;
      const bytes = await store.get(key);
      const body = text.test(key)
        ? neutral(configuration.test(key) ? unsealed(bytes, key) : textOf(bytes))
        : bytes;
      hashes.set(`${label}/${neutral(key)}`, sha256Hex(body));
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

async function scoringOf(location: string): Promise<string> {
  const output = openStore(location);
  try {
    const success = JSON.parse(Buffer.from(await output.get(outputKeys.success)).toString("utf8")) as unknown;
    return scoringSuccess.parse(success).scoring;
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
    for await (const { key } of store.list("")) if (!key.startsWith("backbones/")) keys.push(key);
    await store.delete(keys);
    store.close();
  }
}
