import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { recipe as recipeSchema, type RecipeInput } from "@trommel/common";
import { drawViews } from "#gpu-worker/image/views/view";
import { BenchCluster } from "../material/bench-cluster.js";
import { takeTurns, type Comparison, type Turn } from "./comparison.js";
import { copyPictures, labelledFiles, type Material } from "../material/material.js";
import type { BenchSetting } from "../result.js";

export interface ExtractionComparison {
  readonly name: string;
  readonly recipe: RecipeInput;
  readonly images: number;
  readonly warmUpImages: number;
  readonly repetitions: number;
  /** What test/bench/peers/extract.py runs in the place of the backbone, and its input size; null leaves PyTorch out. */
  readonly torch: { readonly network: string; readonly side: number } | null;
  readonly material: Material;
  /** Folder of the store. */
  readonly store: string;
  readonly setting: BenchSetting;
}

/** Extraction from the store to feature shards by one worker, beside the same graph and the same views elsewhere. */
export async function compareExtraction(comparison: ExtractionComparison): Promise<Turn[]> {
  const { name, recipe, images, repetitions, material, store, setting } = comparison;
  const pictures = path.join(setting.folder, `${name}-pictures`);
  const warmUp = path.join(setting.folder, `${name}-warm-up`);
  await copyPictures(material.pictures, pictures, images);
  await copyPictures(material.pictures, warmUp, comparison.warmUpImages);
  const { threads, say } = setting;
  const cluster = await BenchCluster.start({ store, threads, queues: ["extract"] });
  try {
    await cluster.extract(`bench-${name}-warm-up`, warmUp, recipe);
    return await takeTurns({
      ...{ name, repetitions, say },
      alone: {
        graph: { kind: "extraction", store, recipe },
        ...{ pictures, threads },
      },
      torch: await torchScript(comparison, pictures),
      worker: async (turn) => {
        // What is extracted already would not be extracted again.
        await rm(path.join(store, "features"), { recursive: true, force: true });
        return await cluster.extract(`bench-${name}-${turn}`, pictures, recipe);
      },
    });
  } finally {
    await cluster.stop();
  }
}

/** PyTorch is given the very views that the worker draws. */
async function torchScript(
  { name, torch, recipe, setting }: ExtractionComparison,
  pictures: string,
): Promise<Comparison["torch"]> {
  if (torch === null) return null;
  const { views, seed } = recipeSchema.parse(recipe);
  const files = await labelledFiles(pictures);
  const affine = Float32Array.from(files.flatMap((file) => [...drawViews(views, seed, file).affine]));
  const affineFile = path.join(setting.folder, `${name}-affine.f32`);
  await writeFile(affineFile, affine);
  const facts = {
    pictures,
    network: torch.network,
    side: torch.side,
    views: views.count,
    affine: affineFile,
  };
  return {
    script: "extract.py",
    args: Object.entries(facts).flatMap(([flag, value]) => [`--${flag}`, String(value)]),
  };
}
