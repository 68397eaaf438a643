import { readdir } from "node:fs/promises";
import path from "node:path";
import { runKeys } from "@trommel/common";
import { BenchCluster } from "../../material/bench-cluster.js";
import { summarize, takeTurns, type Turn } from "../../compare/comparison.js";
import { copyPictures, importRandomBackbone, type Material } from "../../material/material.js";
import type { BenchResult, BenchSetting } from "../../result.js";

const repetitions = 3;
const trainingImages = 120;
const targets = { alone: 0.95, torch: 3 };

interface Scoring {
  readonly name: string;
  readonly backbone: string;
  readonly images: number;
  /** What test/bench/peers/score.py runs, and its input size; null leaves PyTorch out. */
  readonly torch: { readonly network: string; readonly side: number } | null;
}

/**
 * Scoring a prefix with one view, by a small model and by a large one, beside ONNX Runtime alone on the bundle's model and
 * PyTorch with the same network. Decoding takes a share of the same cores: what the small model leaves of them is the
 * limit on a machine without a GPU.
 */
export async function benchScore(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const small = await measure(
    {
      ...{ name: "mobilenet", backbone: material.backbone, images: 1500 },
      torch: material.torchNetwork === null ? null : { network: material.torchNetwork, side: 224 },
    },
    material,
    store,
    setting,
  );
  const large = await measure(
    {
      name: "efficientnet-b2",
      backbone: await importRandomBackbone(store, "efficientnet-b2", 380, setting.say),
      images: 256,
      torch: { network: "efficientnet-b2", side: 380 },
    },
    material,
    store,
    setting,
  );
  const results = [summarize("mobilenet", small, targets), summarize("efficientnet-b2", large, targets)];
  return {
    measured: results.map(({ measured }) => measured),
    rows: results.flatMap(({ rows }) => rows),
  };
}

async function measure(
  { name, backbone, images, torch }: Scoring,
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<Turn[]> {
  const { folder, threads, say } = setting;
  const pictures = path.join(folder, `${name}-pictures`);
  const training = path.join(folder, `${name}-training`);
  await copyPictures(material.pictures, pictures, images);
  await copyPictures(material.pictures, training, trainingImages);
  const cluster = await BenchCluster.start({ store, threads, queues: ["extract", "reduce", "score"] });
  try {
    const run = `bench-score-${name}`;
    const recipe = { backbones: [backbone], views: { count: 1 }, head: { type: "linear" as const } };
    say(`${name}: training the model to score with`);
    await cluster.extract(run, training, recipe);
    await cluster.finish(run, training, recipe);
    await cluster.score(training, run, path.join(folder, `${name}-warm-up-scores`));
    const classes = (await readdir(pictures)).length;
    return await takeTurns({
      ...{ name, repetitions, say },
      alone: {
        graph: { kind: "bundle", folder: path.join(store, runKeys(run).bundle) },
        ...{ pictures, threads },
      },
      torch:
        torch === null
          ? null
          : {
              script: "score.py",
              args: Object.entries({ pictures, ...torch, classes }).flatMap(([flag, value]) => [
                `--${flag}`,
                String(value),
              ]),
            },
      worker: async (turn) => await cluster.score(pictures, run, path.join(folder, `${name}-scores-${turn}`)),
    });
  } finally {
    await cluster.stop();
  }
}
