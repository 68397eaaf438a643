import { copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { drawWastePicture, wasteClasses } from "../../demo/draw-waste-pictures.js";
import { nsfwjsModel } from "../../support/models/nsfwjs-model.js";
import { sharedData } from "../../support/images/shared-data.js";
import { trommel } from "./trommel-command.js";

/** What the benchmarks work on: real photographs and ImageNet backbones, or stand-ins where they are absent. */
export interface Material {
  /** One line for the result's header. */
  readonly description: string;
  /** Names in the store: the one that `extract` and `memory` use, and those of the whole run. */
  readonly backbone: string;
  readonly runBackbones: readonly string[];
  /** Where the run's backbones come from. */
  readonly imports: readonly (ImportChoice & { readonly name: string })[];
  /** What the peers in PyTorch call the first one's network, or null where they do not have it. */
  readonly torchNetwork: string | null;
  /** All pictures, in class folders. */
  readonly pictures: string;
  /** How many there are. */
  readonly count: number;
}

/** The run's backbones at another side. @returns their names in the store */
export async function importRunBackbonesAt(
  store: string,
  material: Material,
  side: number,
): Promise<string[]> {
  const names: string[] = [];
  for (const { name, ...choice } of material.imports) {
    names.push(`${name}-${side}`);
    await importBackbone(store, `${name}-${side}`, { ...choice, side });
  }
  return names;
}

/** What stands in for the photographs has as many pictures. */
const drawnCount = 1512;

/** Imports the backbones into `store` and, where there are no photographs, draws pictures into `folder`. */
export async function prepareMaterial(folder: string, store: string): Promise<Material> {
  const data = sharedData();
  return data === undefined ? await standIns(folder, store) : await realOnes(data, store);
}

async function realOnes(data: string, store: string): Promise<Material> {
  const backbones = path.join(data, "backbones");
  const imports = [
    {
      name: "mobilenet-075",
      source: path.join(backbones, "mobilenet_v1_0.75_224/model.json"),
      output: "global_average_pooling2d_1",
      normalize: "tf",
    },
    {
      name: "mobilenet-100-pw12",
      source: path.join(backbones, "mobilenet_v1_1.0_224_to_conv_pw_12/model.json"),
      output: "conv_pw_12_relu",
      normalize: "tf",
    },
  ] as const;
  for (const { name, ...choice } of imports) await importBackbone(store, name, choice);
  const pictures = path.join(data, "trashnet-dev");
  const count = (await labelledFiles(pictures)).length;
  return {
    description: `${count} photographs of trashnet-dev; MobileNetV1 0.75 at 224 (the run: with MobileNetV1 1.0 cut at conv_pw_12)`,
    backbone: imports[0].name,
    runBackbones: imports.map(({ name }) => name),
    imports,
    torchNetwork: "mobilenet-v1-0.75",
    pictures,
    count,
  };
}

async function standIns(folder: string, store: string): Promise<Material> {
  const name = "mobilenetv2-nsfwjs";
  const modelFolder = path.join(folder, name);
  const { modelJson, paths, readFile } = nsfwjsModel("mobilenet_v2");
  await mkdir(modelFolder, { recursive: true });
  for (const file of paths) await writeFile(path.join(modelFolder, file), await readFile(file));
  await writeFile(path.join(modelFolder, "model.json"), modelJson);
  const choice = { source: path.join(modelFolder, "model.json"), output: "out_relu", normalize: "unit" };
  await importBackbone(store, name, choice);
  const pictures = path.join(folder, "drawn");
  await drawPictures(pictures, drawnCount);
  return {
    description: `${drawnCount} drawn pictures, for ../shared/data is absent; nsfwjs's MobileNetV2 at 224`,
    backbone: name,
    runBackbones: [name],
    imports: [{ name, ...choice }],
    torchNetwork: null,
    pictures,
    count: drawnCount,
  };
}

/** A backbone of the zoo that knows nothing. @returns its name in the store, which is the architecture's */
export async function importRandomBackbone(
  store: string,
  architecture: string,
  side: number,
  say: (words: string) => void,
): Promise<string> {
  say(`random weights for ${architecture} at ${side} pixels`);
  const flags = ["--arch", architecture, "--size", String(side), "--normalize", "tf"];
  await trommel("backbone", "random", ...flags, "--store", store);
  return architecture;
}

interface ImportChoice {
  readonly source: string;
  readonly output: string;
  readonly normalize: string;
  /** @default 224 */
  readonly side?: number;
}

async function importBackbone(store: string, name: string, choice: ImportChoice): Promise<void> {
  const { source, output, normalize, side = 224 } = choice;
  const flags = ["--name", name, "--output", output, "--size", String(side), "--normalize", normalize];
  await trommel("backbone", "import", source, ...flags, "--store", store);
}

async function drawPictures(folder: string, count: number): Promise<void> {
  for (const wasteClass of wasteClasses) await mkdir(path.join(folder, wasteClass), { recursive: true });
  for (let index = 0; index < count; index += 1) {
    const wasteClass = wasteClasses[index % wasteClasses.length] ?? "";
    const file = path.join(folder, wasteClass, `${String(index).padStart(5, "0")}.jpg`);
    await writeFile(file, await drawWastePicture(wasteClass, index));
  }
}

/** Files of a folder of class folders, as `<class>/<file>`, in order. */
export async function labelledFiles(folder: string): Promise<string[]> {
  const files: string[] = [];
  for (const label of (await readdir(folder)).sort()) {
    for (const name of (await readdir(path.join(folder, label))).sort()) files.push(`${label}/${name}`);
  }
  return files;
}

/** Copies `count` pictures, evenly spread over all of them, to a prefix of their own. */
export async function copyPictures(from: string, to: string, count: number): Promise<void> {
  const all = await labelledFiles(from);
  if (all.length < count) throw new RangeError(`${from} holds ${all.length} pictures, ${count} are needed`);
  for (let index = 0; index < count; index += 1) {
    const file = all[Math.floor((index * all.length) / count)] ?? "";
    await mkdir(path.join(to, path.dirname(file)), { recursive: true });
    await copyFile(path.join(from, file), path.join(to, file));
  }
}
