import { outputKeys, TrommelError, type ObjectStore, type ScoreFormat } from "@trommel/common";
import { readInput } from "@trommel/common/codec/stage-input";

/** Shards whose parts are read at once. */
const shardsAtOnce = 8;

/**
 * Reads every part of a scoring once and holds it against its marker, for a scoring that calls itself whole is read by others,
 * who look at no marker. Damaged ones are removed, all of them, so that one resume makes them again.
 * @throws TrommelError `missing-input` that names the first damaged part and says how many there are
 */
export async function checkParts(
  output: ObjectStore,
  { shards, formats, signal }: { shards: number; formats: readonly ScoreFormat[]; signal: AbortSignal },
): Promise<void> {
  const missing: TrommelError[] = [];
  const check = async (key: string): Promise<void> => {
    try {
      await readInput(output, key);
    } catch (thrown) {
      if (!(thrown instanceof TrommelError) || thrown.code !== "missing-input") throw thrown;
      missing.push(thrown);
    }
  };
  for (let start = 0; start < shards; start += shardsAtOnce) {
    signal.throwIfAborted();
    const window = Array.from({ length: Math.min(shardsAtOnce, shards - start) }, (_, i) => start + i);
    const keys = window.flatMap((index) => formats.map((format) => outputKeys.part(index, format)));
    await Promise.all(keys.map(check));
  }
  const [first] = missing;
  if (first === undefined) return;
  const others = missing.length === 1 ? "" : ` (and ${missing.length - 1} other parts)`;
  throw new TrommelError("missing-input", `${first.message}${others}`, {
    context: first.context,
    cause: first,
  });
}
