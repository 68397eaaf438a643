import { outputKeys, parseJsonAs, TrommelError, type ObjectStore } from "@trommel/common";
import { scoringSuccess, type ScoringSuccess } from "@trommel/common/artefacts";
import { readIfThere } from "@trommel/common/store";

/**
 * What closing a scoring wrote into its output.
 * @param doing completes "cannot …" in the message
 * @throws TrommelError `not-found` if it is no scoring's output, `conflict` without `_SUCCESS.json`, `corrupt`
 */
export async function requireSuccess(output: ObjectStore, doing: string): Promise<ScoringSuccess> {
  const body = await readIfThere(output, outputKeys.success);
  if (body !== undefined) return parseJsonAs(scoringSuccess, body, `${output.url}/${outputKeys.success}`);
  if ((await output.head(outputKeys.owner)) === undefined)
    throw new TrommelError(
      "not-found",
      `cannot ${doing}: ${output.url} is not the output of a scoring. Give what --output of 'trommel score' was`,
      { context: { output: output.url } },
    );
  throw new TrommelError(
    "conflict",
    `cannot ${doing}: ${output.url} has no ${outputKeys.success}, so its scoring is not complete. Resume the scoring`,
    { context: { output: output.url } },
  );
}
