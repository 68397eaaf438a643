import {
  bundleFiles,
  decodeHeadWeights,
  decodeNovelty,
  decodeProjection,
  sha256Hex,
  TrommelError,
  type BundleManifest,
  type HeadRecipe,
  type ObjectStore,
} from "@trommel/common";
import { decodeStandardization } from "@trommel/common/artefacts";
import { servedFlips } from "@trommel/common/recipe";
import { readBounds } from "@trommel/common/store";
import { checkWidth, decodeEnsemble, type Ensemble } from "../../head/model/ensemble.js";
import type { ClassifierModel } from "../context.js";

type BundleHeads = Omit<NonNullable<ClassifierModel["parts"]>, "backbones">;

/**
 * What a bundle has between the embeddings and the probabilities, from its own files.
 * @throws TrommelError `corrupt`
 */
export async function readBundleHeads(bundle: ObjectStore, manifest: BundleManifest): Promise<BundleHeads> {
  const read = async (name: string): Promise<Uint8Array> => {
    const bytes = await bundle.get(name, readBounds.network);
    if (sha256Hex(bytes) === manifest.hashes[name]) return bytes;
    throw new TrommelError(
      "corrupt",
      `cannot read ${bundle.url}/${name}: it does not have the sha256 in ${bundleFiles.manifest}. Train again or put the bundle back from a copy`,
    );
  };
  const projection =
    manifest.svd === null
      ? null
      : decodeProjection(await read(bundleFiles.projection), bundleFiles.projection);
  const head = await read(bundleFiles.head);
  return {
    projection,
    novelty:
      manifest.novelty === null ? null : decodeNovelty(await read(bundleFiles.novelty), bundleFiles.novelty),
    flips: servedFlips(manifest.recipe),
    ...(manifest.ensemble === null
      ? { standardization: null, ensemble: single(manifest, head) }
      : several(await read(bundleFiles.standardization), head, manifest.ensemble.head)),
  };
}

/** The heads of a bundle that has several, or one in their form, with what their embeddings are standardised by. */
function several(
  standardizationBytes: Uint8Array,
  bytes: Uint8Array,
  head: HeadRecipe,
): Pick<BundleHeads, "standardization" | "ensemble"> {
  const standardization = decodeStandardization(standardizationBytes, bundleFiles.standardization);
  const ensemble = decodeEnsemble(bytes, bundleFiles.head, head);
  checkWidth(ensemble, standardization.mean.length, bundleFiles.head);
  return { standardization, ensemble };
}

/** The head of a bundle that has one, as an ensemble. */
function single({ recipe, run }: BundleManifest, bytes: Uint8Array): Ensemble {
  if (recipe.head.type === "auto")
    throw new TrommelError(
      "corrupt",
      `cannot read the bundle of ${run}: ${bundleFiles.manifest} does not say which heads it has`,
    );
  return {
    head: recipe.head,
    heads: [decodeHeadWeights(bytes, bundleFiles.head)],
    temperature: 1,
    ownNetworks: false,
  };
}
