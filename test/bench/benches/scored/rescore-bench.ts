import path from "node:path";
import { type RecipeInput } from "@trommel/common";
import { candidatesOf, recipeHead } from "@trommel/common/recipe";
import { comparisonRow } from "../../compare/comparison-row.js";
import { BenchCluster, type Throughput } from "../../material/bench-cluster.js";
import { copyPictures, type Material } from "../../material/material.js";
import type { BenchResult, BenchSetting } from "../../result.js";
import { writeStoredRows } from "../../synthetic/stored-rows.js";

const trainingImages = 240;
const warmUpRows = 2000;
/** The largest that a run may have. */
const shardSize = 4096;
/** Of a million rows. */
const secondsAtMost = 60;
const target = 1_000_000;
/** The default head costs more: it scores one row in so many. */
const defaultHeadShare = 10;

/**
 * Scoring features that a run has stored, no picture read: generated rows of one view in half precision, by a linear head and, a share of
 * them, by the default head, whose extraction from pictures by the same networks is measured in the same run. As many workers of one thread
 * as the bench has threads, as the command line starts them.
 */
export async function benchRescore(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const { folder, threads, rows, say } = setting;
  const shared: RecipeInput = { backbones: [material.backbone], views: { count: 1 }, featureType: "f16" };
  const models: Readonly<Record<string, RecipeInput>> = {
    linear: { ...shared, head: { type: "linear" } },
    default: { ...shared, head: defaultHead() },
  };
  const training = path.join(folder, "training");
  await copyPictures(material.pictures, training, trainingImages);
  await withCluster(["extract", "score", "reduce", "fold"], async (cluster) => {
    for (const [name, recipe] of Object.entries(models)) {
      say(`training the ${name} head`);
      await cluster.extract(runOf(name), training, recipe);
      await cluster.finish(runOf(name), training, recipe);
    }
  });
  say(`extraction of ${material.count} pictures`);
  // By workers that do nothing after it.
  const extraction = await withCluster(["extract"], async (cluster) => {
    await cluster.extract(runOf("warm-up"), training, { ...shared, seed: 1 });
    return await cluster.extract(runOf("pictures"), material.pictures, shared);
  });
  const few = Math.ceil(rows / defaultHeadShare);
  for (const count of new Set([warmUpRows, few, rows])) {
    say(`writing ${count} rows`);
    const recipe = { ...shared, shardSize };
    await writeStoredRows({ store, run: rowsOf(count), dataset: training, recipe, rows: count });
  }
  const scored = await withCluster(["score", "reduce"], async (cluster) => {
    for (const name of Object.keys(models)) await score(cluster, name, warmUpRows);
    return { linear: await score(cluster, "linear", rows), default: await score(cluster, "default", few) };
  });
  return {
    measured: { rows, shardSize, extraction, ...scored },
    rows: [
      comparisonRow({
        what: `rescore: ${rows} stored rows by a linear head, whole, s`,
        own: [scored.linear.wholeSeconds],
        ...(rows === target ? { atMost: secondsAtMost } : {}),
      }),
      ...Object.entries(scored).map(([head, { images, wholeSeconds }]) =>
        comparisonRow({
          what: `rescore: ${images} stored rows by the ${head} head, images/s, beside their extraction`,
          own: [images / wholeSeconds],
          anchor: [extraction.images / extraction.seconds],
        }),
      ),
    ],
  };

  async function withCluster<T>(queues: string[], use: (cluster: BenchCluster) => Promise<T>): Promise<T> {
    const cluster = await BenchCluster.start({ store, workers: threads, threads: 1, queues });
    try {
      return await use(cluster);
    } finally {
      await cluster.stop();
    }
  }

  async function score(cluster: BenchCluster, model: string, count: number): Promise<Throughput> {
    say(`${count} rows by the ${model} head`);
    const output = path.join(folder, `scores-${model}-${count}`);
    const scored = await cluster.scoreFeatures(rowsOf(count), runOf(model), output);
    if (scored.images !== count) throw new Error(`${scored.images} of ${count} rows were scored`);
    return scored;
  }
}

/** That of `head: auto`, without the linear heads that might win on so few pictures. */
function defaultHead(): RecipeInput["head"] {
  const head = recipeHead.parse({ type: "auto" });
  if (head.type !== "auto") throw new TypeError("the default head is auto");
  return { ...head, candidates: candidatesOf(head).filter(({ penalties }) => penalties === null) };
}

function runOf(name: string): string {
  return `bench-rescore-${name}`;
}

function rowsOf(count: number): string {
  return runOf(`${count}-rows`);
}
