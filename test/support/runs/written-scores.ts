import {
  openStore,
  outputKeys,
  scoringKeys,
  sha256Hex,
  writeWithMarker,
  type ObjectStore,
  type ScoringConfig,
} from "@trommel/common";
import type { SourceForm } from "@trommel/common/artefacts";
import { jsonBytes, sealedJson } from "@trommel/common/codec";
import type { EvaluatedScores } from "@trommel/common/worker-commands";

/** A row of scores: the image's key and the probability of every class, or what the model calls it besides. */
export interface WrittenRow {
  readonly key: string;
  readonly probabilities: readonly number[];
  /** @default the likeliest class */
  readonly label?: string;
}

/** The output of a scoring that was never run. */
export interface WrittenScoring {
  readonly location: string;
  readonly name: string;
  /** Name of the model. @default the scoring's */
  readonly model?: string;
  readonly classes: readonly string[];
  readonly rows: readonly WrittenRow[];
  /** Keys of images that failed. */
  readonly failed?: readonly string[];
  /** Labels of each row. @default all */
  readonly topK?: number;
  /** Location of the images. */
  readonly source: string;
  /** What lists them. @default that prefix */
  readonly from?: SourceForm;
  /** The novelty above which images are called unknown. @default none is */
  readonly unknownAbove?: number;
}

const rowsPerPart = 16;

/** Writes the files of a finished scoring, and into the store, where one is given, its configuration. */
export async function writeScores(
  {
    location,
    name,
    model: modelName = name,
    classes,
    rows,
    failed = [],
    topK = classes.length,
    source,
    from,
    unknownAbove,
  }: WrittenScoring,
  store?: ObjectStore,
): Promise<EvaluatedScores & { readonly id: string }> {
  const output = openStore(location);
  const id = `score-${name}`;
  const model = { location: `file:///models/${modelName}`, modelSha256: sha256Hex(modelName) };
  const config: ScoringConfig = {
    ...{ formatVersion: 1, id, source, output: location, bundle: model },
    ...{ topK, formats: ["jsonl"], shardSize: rowsPerPart },
    ...(from === undefined ? {} : { from }),
    ...(unknownAbove === undefined ? {} : { unknownAbove }),
  };
  const parts = Math.max(1, Math.ceil(rows.length / rowsPerPart));
  for (let index = 0; index < parts; index += 1) {
    const own = rows.slice(index * rowsPerPart, (index + 1) * rowsPerPart);
    const lines = own.map((row) => `${JSON.stringify(lineOf(row, classes, topK))}\n`).join("");
    await writeWithMarker(output, outputKeys.part(index, "jsonl"), Buffer.from(lines), {
      ...{ ok: own.length, failed: [], labels: [] },
    });
  }
  const errors = failed.map((key) => ({
    ...{ key, reason: "truncated", detail: "it ends early", tries: 1, shard: 0 },
  }));
  const text = errors.map((line) => `${JSON.stringify(line)}\n`).join("");
  await output.put(outputKeys.failedImages, Buffer.from(text));
  await output.put(
    outputKeys.ledger,
    jsonBytes({
      ...{ formatVersion: 1, listed: rows.length + failed.length, ok: rows.length, failed: failed.length },
      ...{ skipped: 0, balanced: true, skippedByReason: {}, shards: parts },
      failedByReason: failed.length === 0 ? {} : { truncated: failed.length },
    }),
  );
  const labels = classes.map((label) => ({ label, images: 0 }));
  await output.put(
    outputKeys.counts,
    jsonBytes({ formatVersion: 1, images: rows.length, labels, groups: null }),
  );
  await output.put("_trommel/scoring.json", sealedJson(config));
  await output.put(
    outputKeys.success,
    jsonBytes({
      ...{ formatVersion: 1, scoring: id, parts, formats: ["jsonl"], files: [], rows: rows.length },
      ...{ model, submission: null },
    }),
  );
  await store?.put(scoringKeys(id).config, sealedJson(config));
  output.close();
  const spans = [{ generation: 0, first: 0, last: parts - 1 }];
  return { id, model, location, generation: 0, parts: spans, classes: [...classes] };
}

function lineOf({ key, probabilities, label }: WrittenRow, classes: readonly string[], topK: number) {
  const top = classes
    .map((name, at) => ({ label: name, probability: probabilities[at] ?? 0 }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, topK);
  return { key, label: label ?? top[0]?.label, probability: top[0]?.probability, top };
}
