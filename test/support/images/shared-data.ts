import { existsSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { namedNormalizations } from "@trommel/common";
import type { EngineBackbone } from "#gpu-worker/backbone/engines/engine";
import { readLayersModel } from "#gpu-worker/backbone/layers/layers-model";
import { layersToJson } from "#gpu-worker/backbone/layers/layers-to-json";
import { compileLayers } from "#gpu-worker/backbone/compile/layers-to-onnx";
import { windowBackbone } from "../models/small-backbones.js";

/** A path in the data folder `shared/data`, beside the checkout or above it; undefined where there is none. */
export function sharedData(path = "."): string | undefined {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const candidate = join(folder, "shared/data", path);
    if (existsSync(candidate)) return candidate;
    const parent = dirname(folder);
    if (parent === folder) return undefined;
    folder = parent;
  }
}

/** A MobileNet of the shared data, cut at a layer and compiled. */
export async function sharedBackbone(data: string, folder: string, output: string): Promise<EngineBackbone> {
  const base = join(data, "backbones", folder);
  const inputSize = 224;
  const layersModel = await readLayersModel(await readFile(join(base, "model.json")), (path) =>
    readFile(join(base, path)),
  );
  const { model, dimension, cut, pooling } = compileLayers(layersModel, { inputSize, output });
  const { spec } = windowBackbone(inputSize, { normalization: namedNormalizations.tf });
  return { spec: { ...spec, dimension }, model, layers: layersToJson(cut, { inputSize, pooling }) };
}

/** The first photographs of each class, as files. */
export async function sharedPhotographs(data: string, perClass: number): Promise<Uint8Array[]> {
  const root = join(data, "trashnet-dev");
  const photographs: Uint8Array[] = [];
  for (const label of (await readdir(root)).sort()) {
    for (const name of (await readdir(join(root, label))).sort().slice(0, perClass)) {
      photographs.push(await readFile(join(root, label, name)));
    }
  }
  return photographs;
}
