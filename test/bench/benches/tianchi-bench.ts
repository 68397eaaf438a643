import { rm } from "node:fs/promises";
import path from "node:path";
import { compareExtraction } from "../compare/compare-extraction.js";
import { summarize } from "../compare/comparison.js";
import { importRandomBackbone, type Material } from "../material/material.js";
import type { BenchResult, BenchSetting } from "../result.js";
import { trommel } from "../material/trommel-command.js";

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
  for (const architecture of architectures)
    await importRandomBackbone(store, architecture, side, setting.say);
  const turns = await compareExtraction({
    ...{ name: "tianchi", recipe: { backbones: architectures }, images, warmUpImages, repetitions: 1 },
    ...{ torch: null, material, store, setting },
  });
  const { rows, measured } = summarize("tianchi", turns);
  await rm(path.join(store, "features"), { recursive: true, force: true });
  const start = Date.now();
  await trommel(
    ...[
      "train",
      path.join(setting.folder, "tianchi-pictures"),
      "--recipe",
      "tianchi-efficientnets",
      "--run",
      "bench-tianchi-whole",
    ],
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
