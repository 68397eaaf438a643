import path from "node:path";
import type { RecipeInput } from "@trommel/common";
import { autoHeadOf, candidatesOf, recipeHead } from "@trommel/common/recipe";
import { comparisonRow } from "../../compare/comparison-row.js";
import { BenchCluster } from "../../material/bench-cluster.js";
import { copyPictures, type Material } from "../../material/material.js";
import type { BenchResult, BenchSetting } from "../../result.js";

type Trained = Omit<RecipeInput, "backbones">;

const turns = 3;
const trainingImages = 240;
const scoredImages = 1500;

/** The perceptron alone, whatever so few photographs would choose. */
const byDefault = autoHeadOf({
  id: "serving",
  recipe: { head: recipeHead.parse({ type: "auto" }), tune: null },
});
const candidates = candidatesOf(byDefault).slice(-1);
const head = { type: "auto", candidates } as const;
const trained: Trained = { head, views: { count: 4, flips: ["horizontal", "vertical", "both"] } };
/** What a model may average over when it scores; the first is what the others are compared with. */
const models = {
  "one perceptron, refit": { ...trained, head: { ...head, heads: "refit" } },
  "five perceptrons, one division": { ...trained, head: { ...head, repeats: 1 } },
  "the fifteen perceptrons of the default": trained,
  "fifteen perceptrons, mirrored": { ...trained, serving: { views: "mirrored" } },
  "fifteen perceptrons, four flips": {
    ...trained,
    serving: { views: ["identity", "horizontal", "vertical", "both"] },
  },
} as const satisfies Record<string, Trained>;
type ModelName = keyof typeof models;
const names = Object.keys(models) as ModelName[];
const [anchor] = names as [ModelName];

/** The rates of scoring by models of one head, of five, of fifteen, and of several views, taken in turns. */
export async function benchServing(
  material: Material,
  store: string,
  { folder, threads, say }: BenchSetting,
): Promise<BenchResult> {
  const pictures = path.join(folder, "pictures");
  const training = path.join(folder, "training");
  await copyPictures(material.pictures, pictures, scoredImages);
  await copyPictures(material.pictures, training, trainingImages);
  const cluster = await BenchCluster.start({
    store,
    threads,
    queues: ["extract", "reduce", "fold", "score"],
  });
  try {
    for (const [at, name] of names.entries()) {
      say(`training: ${name}`);
      const recipe = { ...models[name], backbones: [...material.runBackbones] };
      await cluster.extract(runOf(at), training, recipe);
      await cluster.finish(runOf(at), training, recipe);
      await cluster.score(training, runOf(at), path.join(folder, `warm-up-${at}`));
    }
    const rates = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<
      ModelName,
      number[]
    >;
    for (let turn = 0; turn < turns; turn += 1) {
      for (const [at, name] of names.entries()) {
        const { images, seconds } = await cluster.score(
          pictures,
          runOf(at),
          path.join(folder, `scores-${at}-${turn}`),
        );
        rates[name].push(images / seconds);
        say(`${name}: ${(images / seconds).toFixed(1)} images/s`);
      }
    }
    return {
      measured: rates,
      rows: names.map((name) =>
        comparisonRow({
          what: `serving: ${scoredImages} photographs by ${name}, images/s (anchor: ${anchor})`,
          ...{ own: rates[name], anchor: rates[anchor] },
        }),
      ),
    };
  } finally {
    await cluster.stop();
  }
}

const runOf = (at: number): string => `serving-${at}`;
