import { runKeys, type ObjectStore } from "@trommel/common";
import { foldSplit, type FoldSplit } from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { readBounds } from "@trommel/common/store";
import { readRequired } from "../inputs/read-required.js";

/** The folds and the test part of a run. @throws TrommelError `missing-input`, `corrupt` */
export async function readFoldSplit(store: ObjectStore, id: string): Promise<FoldSplit> {
  const key = runKeys(id).split;
  return parseSealedAs(foldSplit, await readRequired(store, key, readBounds.dataset), key);
}
