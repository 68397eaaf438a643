import { cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { trommelJson } from "../process/cli.js";
import { twofoldBackbone } from "./layers-backbone.js";

/** Side of its input in pixels, and numbers in its embedding. */
export const tinyBackbone = { name: "tiny", inputSize: 64, dimension: 32 } as const;

/** Writes a seeded Keras-layers network of one convolution as `model.json` and `weights.bin`. @returns the model.json's path */
export async function writeTinyBackbone(folder: string): Promise<string> {
  const { layers } = await twofoldBackbone(tinyBackbone.inputSize, tinyBackbone.dimension);
  if (layers === null) throw new Error("the backbone has no layers model");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "model.json"), layers.modelJson);
  await writeFile(join(folder, "weights.bin"), layers.weightsBin);
  return join(folder, "model.json");
}

/** Imports the tiny backbone into a new store by the command line. */
export async function storeWithTinyBackbone(folder: string): Promise<string> {
  const model = await writeTinyBackbone(join(folder, "tiny-backbone"));
  const store = join(folder, "store");
  await trommelJson(["backbone", "import", model, "--name", tinyBackbone.name, "--store", store]);
  return store;
}

/** A second store with the same backbones and nothing else. */
export async function copyBackbones(store: string, other: string): Promise<string> {
  await cp(join(store, "backbones"), join(other, "backbones"), { recursive: true });
  return other;
}
