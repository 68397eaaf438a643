import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { runKeys, type Shard } from "@trommel/common";
import type { FoldSplit } from "@trommel/common/artefacts";
import { drawDataset, writeFiles } from "../images/dataset.js";
import { storeWithTinyBackbone, tinyBackbone } from "../models/tiny-backbone.js";
import { trommelJson } from "../process/cli.js";

export const autoLabels = ["glass", "metal", "paper"];
export const autoPerClass = 20;

export interface AutoAnswer {
  readonly phase: string;
  readonly accuracy: number;
  readonly ledger: { readonly ok: number; readonly failed: number };
}

/** What every training by {@link AutoRuns} is given, besides dataset, backbone, id and store. */
const autoSettings = [
  ...["--views", "2", "--shard-size", "16"],
  ...["--effort", "quick", "--set", "split.test=0.2"],
];

/** Trainings with `head: auto` on a small drawn dataset with a copy, a broken file, and images in wrong folders. */
export class AutoRuns {
  readonly dataset: string;
  readonly store: string;

  private constructor(dataset: string, store: string) {
    this.dataset = dataset;
    this.store = store;
  }

  static async create(folder: string): Promise<AutoRuns> {
    const dataset = join(folder, "labelled");
    await writeFiles(dataset, await drawWithFaults());
    return new AutoRuns(dataset, await storeWithTinyBackbone(folder));
  }

  args(run: string, { store = this.store, workers = 1 } = {}): string[] {
    const args = ["train", this.dataset, "--backbone", tinyBackbone.name, "--run", run];
    return [...args, "--store", store, "--workers", String(workers), ...autoSettings];
  }

  async train(run: string): Promise<AutoAnswer> {
    return (await trommelJson([...this.args(run), "--json"])) as AutoAnswer;
  }

  async readJson<T>(key: string): Promise<T> {
    return JSON.parse(await readFile(join(this.store, key), "utf8")) as T;
  }

  async shards(run: string): Promise<Shard[]> {
    const { shards } = await this.readJson<{ shards: number }>(runKeys(run).listing);
    const indices = Array.from({ length: shards }, (_, index) => index);
    return Promise.all(indices.map((index) => this.readJson<Shard>(runKeys(run).shard(index))));
  }

  /** The part of each image by its key. */
  async parts(run: string): Promise<Map<string, number>> {
    const { parts } = await this.readJson<FoldSplit>(runKeys(run).split);
    const shards = await this.shards(run);
    return new Map(
      shards.flatMap(({ entries }, index) =>
        entries.map(({ key }, position) => [key, parts[index]?.[position] ?? Number.NaN] as const),
      ),
    );
  }
}

async function drawWithFaults(): Promise<Map<string, Buffer>> {
  const images = await drawDataset(autoLabels, { to: autoPerClass });
  // One image in five lies in the wrong folder, so that there is something to get wrong.
  for (const [at, label] of autoLabels.entries()) {
    const others = [...autoLabels.slice(at + 1), ...autoLabels.slice(0, at + 1)];
    const wrong = await drawDataset(others, { to: autoPerClass }, 7);
    for (let number = 0; number < autoPerClass; number += 5) {
      const name = `${String(number).padStart(3, "0")}.png`;
      images.set(`${label}/${name}`, wrong.get(`${others[0]}/${name}`) ?? Buffer.alloc(0));
    }
  }
  // The same bytes under another name, an image that lies in two classes, and a broken file.
  images.set("glass/copy.png", images.get("glass/003.png") ?? Buffer.alloc(0));
  images.set("paper/stray.png", images.get("metal/006.png") ?? Buffer.alloc(0));
  images.set("metal/broken.png", Buffer.from("no image"));
  return images;
}
