import { outputKeys, parseJsonAs, TrommelError, type ObjectStore } from "@trommel/common";
import { scoringSuccess, type ScoringSuccess } from "@trommel/common/artefacts";
import { readIfThere } from "@trommel/common/store";

/**
 * What closing a scoring wrote into its output.
 * @param doing completes "cannot …" in the message
 * @throws TrommelError `conflict` without `_SUCCESS.json`, `corrupt`
 */
export async function requireSuccess(output: ObjectStore, doing: string): Promise<ScoringSuccess> {
  const body = await readIfThere(output, outputKeys.success);
  if (body !== undefined) return parseJsonAs(scoringSuccess, body, `${output.url}/${outputKeys.success}`);
  throw new TrommelError(
    "conflict",
    `cannot ${doing}: ${output.url} has no ${outputKeys.success}, so its scoring is not complete. Resume the scoring`,
    { context: { output: output.url } },
  );
}
