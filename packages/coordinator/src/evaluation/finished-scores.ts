import {
  canonicalJson,
  openStore,
  parseJsonAs,
  readMarker,
  readWithMarker,
  sha256Hex,
  type ObjectStore,
} from "@trommel/common";
import { generationOutput, PartList, partsOf, scoreCounts } from "@trommel/common/artefacts";
import { parseJsonLines } from "@trommel/common/parse";
import { range, readAhead, readIfThere } from "@trommel/common/store";
import type { EvaluatedScores } from "@trommel/common/worker-commands";
import { z } from "zod";
import { requireSuccess } from "../run-control/require-success.js";

/** The output of a finished scoring. */
export interface FinishedScores {
  readonly scores: EvaluatedScores;
  /** sha256 of what its parts say: other rows have another. */
  readonly digest: string;
}

const keyed = z.looseObject({ key: z.string() });

/** Small reads at once. */
const markersAtOnce = 16;

/** @throws TrommelError `conflict` without `_SUCCESS.json`, `corrupt` */
export async function readFinishedScores(location: string): Promise<FinishedScores> {
  const output = openStore(location);
  try {
    const success = await requireSuccess(output, `evaluate ${location}`);
    const { model } = success;
    const generation = success.generation?.number ?? 0;
    const key = generationOutput(generation).counts;
    const { labels } = parseJsonAs(scoreCounts, await output.get(key), `${location}/${key}`);
    const hashes: string[] = [];
    const spans = partsOf(success);
    const parts = new PartList(spans);
    const read = async (place: number): Promise<string> =>
      (await readMarker(output, parts.key(place, "jsonl"))).sha256;
    for await (const hash of readAhead(range(0, parts.length), markersAtOnce, read)) hashes.push(hash);
    return {
      scores: { model, location, generation, parts: spans, classes: labels.map(({ label }) => label) },
      digest: sha256Hex(canonicalJson(hashes)),
    };
  } finally {
    output.close();
  }
}

/** Keys of the scored images, and of those that could not be read. */
export async function* scoredKeys({ location, generation, parts }: EvaluatedScores): AsyncGenerator<string> {
  const output = openStore(location);
  try {
    const list = new PartList(parts);
    const read = (place: number): Promise<string[]> => keysOfPart(output, list.key(place, "jsonl"));
    for await (const keys of readAhead(range(0, list.length), 2, read)) yield* keys;
    const { failedImages } = generationOutput(generation);
    const failed = await readIfThere(output, failedImages);
    if (failed !== undefined) yield* keysOf(failed, failedImages);
  } finally {
    output.close();
  }
}

async function keysOfPart(output: ObjectStore, key: string): Promise<string[]> {
  return keysOf((await readWithMarker(output, key)).bytes, key);
}

function keysOf(bytes: Uint8Array, name: string): string[] {
  return parseJsonLines(keyed, bytes, name).map(({ key }) => key);
}
