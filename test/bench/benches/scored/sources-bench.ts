import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { canonicalJson } from "@trommel/common";
import { comparisonRow } from "../../compare/comparison-row.js";
import { BenchCluster, type ScoredSource } from "../../material/bench-cluster.js";
import { copyPictures, labelledFiles, type Material } from "../../material/material.js";
import type { BenchResult, BenchSetting } from "../../result.js";
import { BenchChild } from "../../synthetic/child.js";
import { served, type PictureServerOptions } from "../../material/served-pictures.js";

const repetitions = 3;
const trainingImages = 120;
const ratioAtLeast = 0.9;
const run = "bench-sources";

type Kind = keyof typeof served;

/** How each source is asked for. */
const asked: Readonly<Record<Kind, ScoredSource>> = {
  folder: { source: served.folder },
  manifest: { source: served.folder, manifest: { location: served.manifest } },
  tar: { source: served.tar },
  zip: { source: served.zip },
  parquet: { source: served.parquet, archives: { keyColumn: "name" } },
};
const kinds = Object.keys(asked) as Kind[];

/** Pictures and seconds of one scoring, and its rows without the archive's name, by key. */
interface Scored {
  readonly rate: number;
  readonly rows: readonly string[];
}

/**
 * The same pictures on an S3 server as a prefix, a manifest, a tar, a zip and a Parquet file, scored in alternating turns: images a second
 * from the command to its end, beside those of the prefix, and whether all scores are equal.
 */
export async function benchSources(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const { folder, threads, say } = setting;
  const images = Math.min(setting.gpu.images, material.count);
  const pictures = path.join(folder, "pictures");
  const training = path.join(folder, "training");
  await copyPictures(material.pictures, pictures, images);
  await copyPictures(material.pictures, training, trainingImages);
  const options: PictureServerOptions = { folder: pictures, names: await labelledFiles(pictures) };
  const server = new BenchChild("picture-server", options);
  try {
    Object.assign(process.env, await server.message());
    const recipe = { backbones: [material.backbone], views: { count: 1 }, head: { type: "linear" as const } };
    const cluster = await BenchCluster.start({ store, threads, queues: ["extract", "reduce", "score"] });
    try {
      say("training the model to score with");
      await cluster.extract(run, training, recipe);
      await cluster.finish(run, training, recipe);
      await score(cluster, "tar", "warm-up");
      const turns: Record<Kind, Scored>[] = [];
      for (let turn = 0; turn < repetitions; turn += 1) turns.push(await turnOf(cluster, turn));
      return summarize(turns);
    } finally {
      await cluster.stop();
    }
  } finally {
    await server.stop();
  }

  /** Each second turn goes the other way, so that no source is always the first. */
  async function turnOf(cluster: BenchCluster, turn: number): Promise<Record<Kind, Scored>> {
    const scored: Partial<Record<Kind, Scored>> = {};
    for (const kind of turn % 2 === 0 ? kinds : kinds.toReversed())
      scored[kind] = await score(cluster, kind, `${turn}`);
    return scored as Record<Kind, Scored>;
  }

  async function score(cluster: BenchCluster, kind: Kind, name: string): Promise<Scored> {
    const output = path.join(folder, `scores-${kind}-${name}`);
    const { images: scored, wholeSeconds } = await cluster.scoreSource(asked[kind], run, output);
    if (scored !== images) throw new Error(`${scored} of ${images} images of the ${kind} were scored`);
    say(`${kind}: ${(images / wholeSeconds).toFixed(1)} images/s`);
    return { rate: images / wholeSeconds, rows: await rowsOf(output, kind) };
  }

  function summarize(turns: readonly Record<Kind, Scored>[]): BenchResult {
    const ratesOf = (kind: Kind): number[] => turns.map((turn) => turn[kind].rate);
    const expected = turns[0]?.folder.rows.join("\n");
    const others = kinds.filter((kind) => kind !== "folder");
    const equal = others.filter((kind) => turns.every((turn) => turn[kind].rows.join("\n") === expected));
    return {
      measured: { images, rates: Object.fromEntries(kinds.map((kind) => [kind, ratesOf(kind)])), equal },
      rows: [
        comparisonRow({
          what: `sources: ${images} images as a prefix of a bucket, images/s`,
          own: ratesOf("folder"),
        }),
        ...others.map((kind) =>
          comparisonRow({
            ...{ what: `sources: the same as a ${kind}, beside the prefix`, own: ratesOf(kind) },
            ...{ anchor: ratesOf("folder"), atLeast: ratioAtLeast },
          }),
        ),
        {
          what: "sources: with the scores of the prefix",
          value: equal.join(", "),
          target: others.join(", "),
          reached: equal.length === others.length,
        },
      ],
    };
  }
}

/** Canonical rows in the order of their keys, which are those of the prefix. */
async function rowsOf(output: string, kind: Kind): Promise<string[]> {
  const archive = ["tar", "zip", "parquet"].includes(kind) ? `${path.basename(served[kind])}/` : "";
  const parts = (await readdir(output)).filter((name) => /^part-\d+\.jsonl$/.test(name));
  const texts = await Promise.all(parts.map((name) => readFile(path.join(output, name), "utf8")));
  const rows = texts.flatMap((text) => text.trimEnd().split("\n"));
  const own = rows.map((row) => {
    const { key, ...scores } = JSON.parse(row) as { readonly key: string };
    if (!key.startsWith(archive)) throw new Error(`${key} does not begin with ${archive}`);
    return canonicalJson({ key: key.slice(archive.length), ...scores });
  });
  return own.sort();
}
