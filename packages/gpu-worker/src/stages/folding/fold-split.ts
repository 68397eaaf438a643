import { runKeys, TrommelError, type ObjectStore } from "@trommel/common";
import { foldSplit, type FoldSplit } from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { readBounds } from "@trommel/common/store";
import { readRequired } from "../inputs/read-required.js";

/** The folds and the test part of a run. @throws TrommelError `missing-input`, `corrupt` */
export async function readFoldSplit(store: ObjectStore, id: string): Promise<FoldSplit> {
  const key = runKeys(id).split;
  return parseSealedAs(foldSplit, await readRequired(store, key, readBounds.dataset), key);
}

/** A division of a split as if it were its first. @param repeat its number, from 0 */
export function divisionOf(split: FoldSplit, repeat: number): FoldSplit {
  const { furtherParts, ...first } = split;
  const parts = repeat === 0 ? split.parts : furtherParts?.[repeat - 1];
  if (parts === undefined)
    throw new TrommelError(
      "internal",
      `cannot read division ${repeat + 1} of a split: there is no such division`,
    );
  return { ...first, parts };
}
