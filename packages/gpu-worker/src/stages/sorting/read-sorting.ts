import type { ObjectStore } from "@trommel/common";
import {
  sortedKeys,
  sortedPart,
  sortingConfig,
  sortingKeys,
  type SortedPart,
  type SortingConfig,
} from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { readBounds, readIfThere } from "@trommel/common/store";
import { readRequired } from "../inputs/read-required.js";

export async function readSortingConfig(store: ObjectStore, id: string): Promise<SortingConfig> {
  const key = sortingKeys(id).config;
  return parseSealedAs(sortingConfig, await readRequired(store, key, readBounds.document), key);
}

/** @param into the target of the sorting */
export async function findSortedPart(
  into: ObjectStore,
  id: string,
  index: number,
): Promise<SortedPart | undefined> {
  const key = sortedKeys(id).part(index);
  const body = await readIfThere(into, key);
  return body === undefined ? undefined : parseSealedAs(sortedPart, body, key);
}
