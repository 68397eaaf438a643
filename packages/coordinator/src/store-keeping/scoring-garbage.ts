import {
  openStore,
  outputKeys,
  parseJsonAs,
  scoringConfig,
  scoringKeys,
  type ObjectStore,
} from "@trommel/common";
import { partsOf, scoringSuccess, type ScoringSuccess } from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { readIfThere } from "@trommel/common/store";
import { listSubjects } from "../run-control/list-subjects.js";
import type { Found } from "./garbage.js";
import { groups } from "./object-groups.js";

/**
 * Parts of earlier generations that a later one no longer has, under the outputs of the store's scorings. What a generation that is under
 * way has written stays.
 */
export async function* scoringGarbage(store: ObjectStore): AsyncGenerator<Found> {
  for (const { kind, id } of await listSubjects(store)) {
    if (kind !== "scoring") continue;
    const key = scoringKeys(id).config;
    const body = await readIfThere(store, key);
    if (body === undefined) continue;
    const output = openStore(parseSealedAs(scoringConfig, body, key).output);
    try {
      yield* supersededParts(output, id);
    } finally {
      output.close();
    }
  }
}

async function* supersededParts(output: ObjectStore, id: string): AsyncGenerator<Found> {
  const body = await readIfThere(output, outputKeys.success);
  if (body === undefined) return;
  const success = parseJsonAs(scoringSuccess, body, outputKeys.success);
  if (success.scoring !== id || success.generation === undefined) return;
  const isCurrent = currentParts(success);
  const last = success.generation.number;
  const outOfDate = (key: string): string | undefined => {
    const [, name, folder = "0", index = ""] = partName.exec(key) ?? [];
    const generation = Number(folder);
    return generation > last || isCurrent(generation, Number(index)) ? undefined : name;
  };
  // In the listing data come before their marker, which is removed first.
  for await (const { objects } of groups(output, "", outOfDate))
    yield { kind: "parts", objects: objects.toReversed(), location: output.url };
}

const partName = /^((?:generation-(\d+)\/)?(?:part|result|kaggle)-(\d+)\.[a-z]+)(?:\.json)?$/;

function currentParts(success: ScoringSuccess): (generation: number, index: number) => boolean {
  const current = new Map<number, Set<number>>();
  for (const { generation, first, last } of partsOf(success)) {
    const indices = current.get(generation) ?? new Set<number>();
    current.set(generation, indices);
    for (let index = first; index <= last; index += 1) indices.add(index);
  }
  return (generation, index) => current.get(generation)?.has(index) === true;
}
