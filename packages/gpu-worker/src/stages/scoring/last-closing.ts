import { outputKeys, parseJsonAs, scoringKeys, TrommelError, type ObjectStore } from "@trommel/common";
import type { ScoringSpan } from "@trommel/common/artefacts";
import { unlessCorrupt } from "@trommel/common/codec";
import { readBounds } from "@trommel/common/store";
import { z } from "zod";

/**
 * Before each write: a worker that was paused may wake after others closed the scoring, and its failed files were tried
 * again or a later generation was opened. What it has added up is then out of date, and must not replace theirs.
 * @throws TrommelError `conflict` if another retry was asked for since, or another generation; the signal's reason
 */
export async function requireLast(
  store: ObjectStore,
  scoringId: string,
  { generation, retries }: ScoringSpan,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const later = [
    generation.keys.retry(retries),
    scoringKeys(scoringId).generation(generation.number + 1).request,
  ];
  const found = await Promise.all(later.map((key) => store.head(key)));
  if (found.every((info) => info === undefined)) return;
  throw new TrommelError(
    "conflict",
    `cannot close ${scoringId}: its source was listed again, or its failed files are being tried again, since it was added up. Resume it`,
    { context: { id: scoringId } },
  );
}

const successState = z.looseObject({
  retries: z.int().default(0),
  generation: z.looseObject({ number: z.int() }).optional(),
});

/**
 * Removes a `_SUCCESS.json` that is of before the last retry, so that nobody takes what follows for its results; also one
 * that cannot be read. That of an earlier generation stays until it is replaced: nothing that it names changes.
 */
export async function removeOther(output: ObjectStore, { generation, retries }: ScoringSpan): Promise<void> {
  if ((await output.head(outputKeys.success)) === undefined) return;
  const body = await output.get(outputKeys.success, readBounds.document);
  const state = unlessCorrupt(() => parseJsonAs(successState, body, outputKeys.success));
  const isEarlier = state !== undefined && (state.generation?.number ?? 0) < generation.number;
  if (!isEarlier && state?.retries !== retries) await output.delete([outputKeys.success]);
}
