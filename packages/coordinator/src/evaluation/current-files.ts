import {
  openStore,
  resolveLocation,
  scoringConfig,
  scoringKeys,
  TrommelError,
  type ObjectStore,
  type ScoreFormat,
} from "@trommel/common";
import { PartList, partsOf, runId } from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { readIfThere } from "@trommel/common/store";
import { requireSuccess } from "../run-control/require-success.js";

/** The current files of a scoring: those of its last complete generation and what that keeps of earlier ones. */
export interface CurrentFiles {
  /** Location of the scoring's output. */
  readonly output: string;
  /** Keys under it, in order. */
  readonly keys: readonly string[];
}

/**
 * The files that `_SUCCESS.json` names, also while a later generation is under way.
 * @param text the id of a scoring, or the location of its output
 * @param folder the start of a relative path
 * @throws TrommelError `conflict` without `_SUCCESS.json`, `invalid-argument` for a format that the scoring does not have
 */
export async function readCurrentFiles(
  store: ObjectStore,
  text: string,
  format: ScoreFormat,
  folder: string,
): Promise<CurrentFiles> {
  const location = (await outputOf(store, text)) ?? resolveLocation(text, folder);
  const output = openStore(location);
  try {
    const success = await requireSuccess(output, `read the scores of ${text}`);
    if (!success.formats.includes(format))
      throw new TrommelError(
        "invalid-argument",
        `cannot read the scores of ${text} as ${format}: they are written as ${success.formats.join(", ")}. Give one of these as --format`,
        { context: { output: location, format } },
      );
    const parts = new PartList(partsOf(success));
    return {
      output: location,
      keys: Array.from({ length: parts.length }, (_, place) => parts.key(place, format)),
    };
  } finally {
    output.close();
  }
}

/** @returns undefined if the text is no scoring's id */
async function outputOf(store: ObjectStore, text: string): Promise<string | undefined> {
  if (!runId.safeParse(text).success) return undefined;
  const key = scoringKeys(text).config;
  const body = await readIfThere(store, key);
  return body === undefined ? undefined : parseSealedAs(scoringConfig, body, key).output;
}
