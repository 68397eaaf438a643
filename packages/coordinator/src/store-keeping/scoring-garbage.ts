import {
  openStore,
  outputKeys,
  parseJsonAs,
  scoringConfig,
  scoringKeys,
  type ObjectStore,
} from "@trommel/common";
import {
  partsOf,
  scoringSuccess,
  sortingConfig,
  sortingKeys,
  type SortingConfig,
} from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { readIfThere } from "@trommel/common/store";
import { listSubjects } from "../run-control/list-subjects.js";
import { readResult } from "../run-control/result.js";
import type { Found } from "./garbage.js";
import { groups } from "./object-groups.js";

/**
 * Parts of earlier generations that a later one no longer has, under the outputs of the store's scorings. What a generation that is under
 * way has written stays, and so do the parts that an unfinished sorting sorts by.
 */
export async function* scoringGarbage(store: ObjectStore): AsyncGenerator<Found> {
  const subjects = await listSubjects(store);
  const sortings: SortingConfig[] = [];
  for (const { kind, id } of subjects)
    if (kind === "sorting") sortings.push(...(await unfinishedSorting(store, id)));
  for (const { kind, id } of subjects) {
    if (kind !== "scoring") continue;
    const key = scoringKeys(id).config;
    const body = await readIfThere(store, key);
    if (body === undefined) continue;
    const output = openStore(parseSealedAs(scoringConfig, body, key).output);
    try {
      const pinned = sortings.flatMap(({ scoring, parts }) => (scoring === id ? parts : []));
      yield* supersededParts(output, id, pinned);
    } finally {
      output.close();
    }
  }
}

async function unfinishedSorting(store: ObjectStore, id: string): Promise<SortingConfig[]> {
  const key = sortingKeys(id).config;
  const body = await readIfThere(store, key);
  if (body === undefined) return [];
  const config = parseSealedAs(sortingConfig, body, key);
  return (await readResult(store, { kind: "sorting", id, config })) === undefined ? [config] : [];
}

/** @param pinned parts that stay besides the current ones */
async function* supersededParts(
  output: ObjectStore,
  id: string,
  pinned: SortingConfig["parts"],
): AsyncGenerator<Found> {
  const body = await readIfThere(output, outputKeys.success);
  if (body === undefined) return;
  const success = parseJsonAs(scoringSuccess, body, outputKeys.success);
  if (success.scoring !== id || success.generation === undefined) return;
  const isKept = partsIn([...partsOf(success), ...pinned]);
  const last = success.generation.number;
  const outOfDate = (key: string): string | undefined => {
    const [, name, folder = "0", index = ""] = partName.exec(key) ?? [];
    const generation = Number(folder);
    return generation > last || isKept(generation, Number(index)) ? undefined : name;
  };
  // In the listing data come before their marker, which is removed first.
  for await (const { objects } of groups(output, "", outOfDate))
    yield { kind: "parts", objects: objects.toReversed(), location: output.url };
}

const partName = /^((?:generation-(\d+)\/)?(?:part|result|kaggle)-(\d+)\.[a-z]+)(?:\.json)?$/;

function partsIn(spans: SortingConfig["parts"]): (generation: number, index: number) => boolean {
  const kept = new Map<number, Set<number>>();
  for (const { generation, first, last } of spans) {
    const indices = kept.get(generation) ?? new Set<number>();
    kept.set(generation, indices);
    for (let index = first; index <= last; index += 1) indices.add(index);
  }
  return (generation, index) => kept.get(generation)?.has(index) === true;
}
