import path from "node:path";
import { BenchCluster } from "../material/bench-cluster.js";
import { copyPictures, type Material } from "../material/material.js";
import { peakResidentMiB } from "../measure/process-usage.js";
import type { BenchResult, BenchSetting } from "../result.js";

/** Of the smaller collection; the larger one is everything there is. */
const fewImages = 400;

interface Peak {
  readonly images: number;
  /** Largest resident set of the worker when the last shard was committed, and when the bundle was. */
  readonly extractMiB: number;
  readonly runMiB: number;
}

/** A worker's peak memory over whole runs of two sizes, each by one fresh worker process that does every stage. */
export async function benchMemory(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const peaks: Peak[] = [];
  for (const images of [fewImages, material.count]) {
    const pictures = path.join(setting.folder, `pictures-${images}`);
    await copyPictures(material.pictures, pictures, images);
    const peak = await peakOfRun(`bench-memory-${images}`, pictures, images);
    setting.say(
      `${images} images: ${peak.extractMiB.toFixed(0)} MiB after extraction, ${peak.runMiB.toFixed(0)} MiB at the end`,
    );
    peaks.push(peak);
  }
  const [few, many] = peaks as [Peak, Peak];
  const ratio = many.runMiB / few.runMiB;
  return {
    measured: { peaks, ratio, extractRatio: many.extractMiB / few.extractMiB },
    rows: [
      ...peaks.map(({ images, extractMiB, runMiB }) => ({
        what: `memory: worker's peak at ${images} images, extraction / whole run, MiB`,
        value: `${extractMiB.toFixed(0)} / ${runMiB.toFixed(0)}`,
      })),
      {
        what: `memory: peak of extraction at ${many.images} / at ${few.images}`,
        value: (many.extractMiB / few.extractMiB).toFixed(3),
        target: "<= 1.15",
      },
      {
        what: `memory: peak of the whole run at ${many.images} / at ${few.images}`,
        value: ratio.toFixed(3),
        target: "<= 1.15",
      },
    ],
  };

  async function peakOfRun(id: string, pictures: string, images: number): Promise<Peak> {
    const recipe = { backbones: [material.backbone] };
    const { threads } = setting;
    const cluster = await BenchCluster.start({
      store,
      threads,
      queues: ["extract", "score", "reduce", "fold"],
    });
    try {
      const pid = cluster.workerPid;
      await cluster.extract(id, pictures, recipe);
      const extractMiB = await peakResidentMiB(pid);
      await cluster.finish(id, pictures, recipe);
      return { images, extractMiB, runMiB: await peakResidentMiB(pid) };
    } finally {
      await cluster.stop();
    }
  }
}
