import { z } from "zod";
import type { Material } from "../material/material.js";
import { runPeer } from "../compare/peer.js";
import type { BenchResult, BenchRow, BenchSetting } from "../result.js";
import { trommel } from "../material/trommel-command.js";

/** With what stands in for a recipe's own label source, backbones and normalisation, which this material does not have. */
const cases: readonly {
  readonly name: string;
  readonly recipe?: string;
  readonly flags?: readonly string[];
}[] = [
  { name: "tianchi-efficientnets" },
  { name: "huawei-40:frozen" },
  { name: "huawei-40:frozen-se-resnet50" },
  { name: "mobilenetv2-26" },
  { name: "dog-breeds" },
  // On the others' split, to be compared with them; its own takes as many images of every class.
  {
    name: "dog-breeds, a tenth of each class",
    recipe: "dog-breeds",
    flags: ["--set", "validation.of=class"],
  },
];
/** Whose embeddings and split scikit-learn gets. */
const compared = ["tianchi-efficientnets", "dog-breeds", "dog-breeds, a tenth of each class"];

const trained = z.object({ accuracy: z.number(), macroF1: z.number(), logLoss: z.number() });
const figures = z.object({
  accuracy: z.number(),
  macroF1: z.number(),
  logLoss: z.number(),
  seconds: z.number(),
});
const anchor = z.object({ pictures: figures, everyView: figures });

/**
 * The built-in recipes' augmentations, heads and optimisers on the material's pictures and backbones, by the command line,
 * beside scikit-learn's logistic regression on the same embeddings.
 */
export async function benchRecipes(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const backbones = material.runBackbones.flatMap((name) => ["--backbone", name]);
  const rows: BenchRow[] = [];
  const measured: Record<string, unknown> = {};
  for (const { name, recipe = name, flags = [] } of cases) {
    const start = Date.now();
    const printed = await trommel(
      ...["train", material.pictures, "--recipe", recipe, ...flags, ...backbones, "--run", runOf(name)],
      ...["--store", store],
      ...["--set", "normalization=backbone", "--set", "labels.source.type=folders", "--workers", "1"],
      ...["--threads", String(setting.threads)],
    );
    const result = { ...trained.parse(printed), seconds: (Date.now() - start) / 1000 };
    setting.say(`${name}: ${describe(result)}`);
    rows.push({ what: `recipes: ${name}`, value: describe(result) });
    measured[name] = result;
  }
  for (const comparedTo of compared) {
    const regression = await runPeer(anchor, {
      script: "logistic_regression.py",
      args: [store, runOf(comparedTo)],
      modules: ["numpy", "sklearn"],
      threads: setting.threads,
    });
    const name = `recipes: scikit-learn's logistic regression, embeddings and split of ${comparedTo}`;
    if ("missing" in regression) {
      rows.push({ what: name, value: `not installed: ${regression.missing}` });
      continue;
    }
    rows.push({ what: `${name}, pictures`, value: describe(regression.pictures) });
    rows.push({ what: `${name}, every view`, value: describe(regression.everyView) });
    measured[`logistic regression, ${comparedTo}`] = regression;
  }
  return { rows, measured };
}

const runOf = (name: string): string => `bench-recipe-${name.replaceAll(/[^a-z0-9]+/g, "-")}`;

function describe({ accuracy, macroF1, logLoss, seconds }: z.infer<typeof figures>): string {
  const quality = [accuracy, macroF1, logLoss].map((figure) => figure.toFixed(4)).join(" / ");
  return `accuracy / macro F1 / log loss ${quality}, ${seconds.toFixed(1)} s`;
}
