import { compareExtraction } from "../compare/compare-extraction.js";
import { summarize } from "../compare/comparison.js";
import { importRandomBackbone, type Material } from "../material/material.js";
import type { BenchResult, BenchSetting } from "../result.js";

const repetitions = 3;
const targets = { alone: 0.95, torch: 3 };

/**
 * Six views of every photograph, through a small backbone with real weights and through a large one with random weights,
 * beside ONNX Runtime alone on the same graph and PyTorch on the same network and views.
 */
export async function benchExtract(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const common = { repetitions, material, store, setting };
  const small = await compareExtraction({
    ...{ ...common, name: "mobilenet", recipe: { backbones: [material.backbone] } },
    ...{ images: 512, warmUpImages: 96 },
    torch: material.torchNetwork === null ? null : { network: material.torchNetwork, side: 224 },
  });
  const backbone = await importRandomBackbone(store, "efficientnet-b2", 380, setting.say);
  const large = await compareExtraction({
    ...{ ...common, name: "efficientnet-b2", recipe: { backbones: [backbone] } },
    ...{ images: 64, warmUpImages: 12 },
    torch: { network: "efficientnet-b2", side: 380 },
  });
  const results = [summarize("mobilenet", small, targets), summarize("efficientnet-b2", large, targets)];
  return {
    measured: results.map(({ measured }) => measured),
    rows: results.flatMap(({ rows }) => rows),
  };
}
