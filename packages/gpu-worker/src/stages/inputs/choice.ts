import { parseJsonAs, runKeys, type ObjectStore } from "@trommel/common";
import { choice as choiceSchema, type Choice } from "@trommel/common/artefacts";
import { readInput } from "@trommel/common/codec";
import { decodeEnsemble, type Ensemble } from "../../head/model/ensemble.js";

/** What a run chose, with the bytes of both artefacts. @throws TrommelError `missing-input`, `corrupt` */
export async function readChoice(
  store: ObjectStore,
  id: string,
): Promise<{
  readonly choice: Choice;
  readonly choiceBytes: Uint8Array;
  readonly ensemble: Ensemble;
  readonly ensembleBytes: Uint8Array;
}> {
  const keys = runKeys(id);
  const { bytes: choiceBytes } = await readInput(store, keys.choice);
  const { bytes: ensembleBytes } = await readInput(store, keys.ensemble);
  const choice = parseJsonAs(choiceSchema, choiceBytes, keys.choice);
  return {
    choice,
    choiceBytes,
    ensemble: decodeEnsemble(ensembleBytes, keys.ensemble, choice.head),
    ensembleBytes,
  };
}
