import { runKeys, type ObjectStore } from "@trommel/common";
import { decodeStandardization, type Standardization } from "@trommel/common/artefacts";
import { readInput } from "@trommel/common/codec";

/** Mean and deviation of every dimension of a run with `head: auto`. @throws TrommelError `missing-input`, `corrupt` */
export async function readStandardization(store: ObjectStore, id: string): Promise<Standardization> {
  const key = runKeys(id).standardization;
  return decodeStandardization((await readInput(store, key)).bytes, key);
}
