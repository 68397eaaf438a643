import { rm } from "node:fs/promises";
import path from "node:path";
import { compareExtraction, summarize } from "./extract-bench.js";
import { copyPictures, type Material } from "./material.js";
import type { BenchResult, BenchSetting } from "./result.js";
import { trommel } from "./trommel-command.js";

const architectures = ["efficientnet-b2", "efficientnet-b3", "efficientnet-b4"];
const side = 380;
const images = 64;
const warmUpImages = 12;

/**
 * The recipe `tianchi-efficientnets` at full size with random weights: three EfficientNets at 380 pixels, six views. First its
 * extraction against ONNX Runtime alone on the same graph, then the whole command.
 */
export async function benchTianchi(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const pictures = path.join(setting.folder, "pictures");
  const warmUp = path.join(setting.folder, "warm-up");
  await copyPictures(material.pictures, pictures, images);
  await copyPictures(material.pictures, warmUp, warmUpImages);
  for (const architecture of architectures) {
    setting.say(`random weights for ${architecture} at ${side} pixels`);
    const flags = ["--arch", architecture, "--size", String(side), "--normalize", "tf"];
    await trommel("backbone", "random", ...flags, "--store", store);
  }
  const recipe = { backbones: architectures };
  const turns = await compareExtraction({
    ...{ name: "tianchi", recipe, pictures, warmUp, repetitions: 1, store, setting },
  });
  const { rows, measured } = summarize("tianchi", turns);
  await rm(path.join(store, "features"), { recursive: true, force: true });
  const start = Date.now();
  await trommel(
    ...["train", pictures, "--recipe", "tianchi-efficientnets", "--run", "bench-tianchi-whole"],
    ...["--workers", "1", "--threads", String(setting.threads), "--store", store],
  );
  const seconds = (Date.now() - start) / 1000;
  return {
    measured: { extraction: measured, seconds },
    rows: [
      ...rows,
      { what: `tianchi: the command train on ${images} photographs, whole, s`, value: seconds.toFixed(1) },
    ],
  };
}
