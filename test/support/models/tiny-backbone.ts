import { cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { twofoldBackbone } from "./layers-backbone.js";

/** Side of its input in pixels, and numbers in its embedding. */
export const tinyBackbone = { name: "tiny", id: "tiny@895caf472045", inputSize: 64, dimension: 32 } as const;

/** Writes a seeded Keras-layers network of one convolution as `model.json` and `weights.bin`. @returns the model.json's path */
export async function writeTinyBackbone(folder: string): Promise<string> {
  const { layers } = await twofoldBackbone(tinyBackbone.inputSize, tinyBackbone.dimension);
  if (layers === null) throw new Error("the backbone has no layers model");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "model.json"), layers.modelJson);
  await writeFile(join(folder, "weights.bin"), layers.weightsBin);
  return join(folder, "model.json");
}

/** The backbone as an import writes it, kept in a store of an earlier day; `train-and-score` holds an import against it. */
const imported = fileURLToPath(new URL("../../../stores/2026-11-28/bucket/store/backbones", import.meta.url));

/** A new store with the tiny backbone and nothing else. @returns its folder */
export async function storeWithTinyBackbone(folder: string): Promise<string> {
  const store = join(folder, "store");
  await cp(imported, join(store, "backbones"), { recursive: true });
  return store;
}

/** A second store with the same backbones and nothing else. */
export async function copyBackbones(store: string, other: string): Promise<string> {
  await cp(join(store, "backbones"), join(other, "backbones"), { recursive: true });
  return other;
}
