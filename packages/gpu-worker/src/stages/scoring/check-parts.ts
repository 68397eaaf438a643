import { TrommelError, type ObjectStore, type ScoreFormat } from "@trommel/common";
import { markerKeyOf, readInput, type Marker } from "@trommel/common/codec";
import { readAhead } from "@trommel/common/store";

/** Shards whose parts are read at once, each whole. */
const shardsAtOnce = 8;

export type ScorePart = { readonly bytes: Uint8Array; readonly marker: Marker };

/**
 * Reads every part of a scoring once and holds it against its marker, for a scoring that calls itself whole is read by others,
 * who look at no marker. Damaged ones are removed, all of them, so that one resume makes them again. So are those of a
 * shard whose formats have different numbers of rows: two workers wrote them, and one of them could not read every file.
 * @param options.checkRows holds the rows of a shard's JSON lines, which every scoring has, against the shard
 * @throws TrommelError `missing-input` that names the first damaged part and says how many there are
 */
export async function checkParts(
  output: ObjectStore,
  options: {
    /** Numbers of the shards. */
    readonly shards: Iterable<number>;
    readonly keyOf: (index: number, format: ScoreFormat) => string;
    readonly formats: readonly ScoreFormat[];
    readonly checkRows: (index: number, part: ScorePart) => Promise<void>;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { shards, keyOf, formats, checkRows, signal } = options;
  const missing: TrommelError[] = [];
  const read = async (key: string): Promise<ScorePart | undefined> => {
    try {
      return await readInput(output, key);
    } catch (thrown) {
      if (!(thrown instanceof TrommelError) || thrown.code !== "missing-input") throw thrown;
      missing.push(thrown);
      return undefined;
    }
  };
  const all = [...new Set<ScoreFormat>(["jsonl", ...formats])];
  const checkShard = async (index: number): Promise<void> => {
    signal.throwIfAborted();
    const keys = all.map((format) => keyOf(index, format));
    const parts = await Promise.all(keys.map(read));
    const rows = new Set(parts.flatMap((part) => (part === undefined ? [] : [part.marker["ok"]])));
    const [lines] = parts;
    if (rows.size <= 1) {
      if (lines !== undefined) await checkRows(index, lines);
      return;
    }
    await output.delete(keys.map(markerKeyOf));
    missing.push(differingRows(keys, [...rows]));
  };
  for await (const _ of readAhead(shards, shardsAtOnce, checkShard)) {
    // Each is checked as it is read.
  }
  const [first] = missing;
  if (first === undefined) return;
  const others = missing.length === 1 ? "" : ` (and ${missing.length - 1} other parts)`;
  throw new TrommelError("missing-input", `${first.message}${others}`, {
    context: first.context,
    cause: first,
  });
}

function differingRows(keys: readonly string[], rows: readonly unknown[]): TrommelError {
  return new TrommelError(
    "missing-input",
    `cannot read ${keys.join(", ")}: they belong to one shard and have ${rows.map(String).join(" and ")} rows. They have been removed: resume the scoring, which makes them again`,
    { context: { keys } },
  );
}
