import {
  decodeProjection,
  runKeys,
  type ObjectStore,
  type Projection,
  type RunConfig,
} from "@trommel/common";
import { readInput } from "@trommel/common/codec";

/** The run's projection; null if the recipe has no SVD. */
export async function readProjection(store: ObjectStore, config: RunConfig): Promise<Projection | null> {
  if (config.recipe.svd === null) return null;
  const key = runKeys(config.id).projection;
  const { bytes } = await readInput(store, key);
  return decodeProjection(bytes, key);
}
