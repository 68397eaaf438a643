import path from "node:path";
import { rm } from "node:fs/promises";
import {
  recipe as recipeSchema,
  runKeys,
  TrommelError,
  type Device,
  workerDefaults,
  type RecipeInput,
} from "@trommel/common";
import { createEngine } from "#gpu-worker/backbone/engines/create-engine";
import { BenchCluster, type Throughput } from "../material/bench-cluster.js";
import { comparisonRow } from "../compare/comparison-row.js";
import { gpuName, whileWatched, type GpuUsage } from "../measure/gpu-usage.js";
import { copyPictures, importRandomBackbone, type Material } from "../material/material.js";
import { tuneOn } from "./tune-bench.js";
import { ModelAlone } from "../alone/model-alone.js";
import type { ModelWork } from "../alone/model-work.js";
import type { BenchResult, BenchRow, BenchSetting } from "../result.js";
import { spreadOf } from "../measure/statistics.js";

/**
 * A machine with a GPU: extraction and scoring end to end beside the same models alone on the same card, in float32 and in
 * half precision, and how busy the card was; then steps of tuning. `--device cpu` and small numbers show on any machine that it runs.
 */

const repetitions = 3;
const precisions = ["fp32", "fp16"] as const;
type Precision = (typeof precisions)[number];
/** Of the worker's own batch size. */
const batchFactors = [1, 4] as const;
const warmUpImages = 48;

interface Measured {
  readonly network: string;
  readonly precision: Precision;
  readonly work: "extraction" | "scoring";
  /** Views a batch of the worker: those with which extraction alone is fastest. */
  readonly batch: number;
  readonly endToEnd: readonly Throughput[];
  readonly usage: readonly GpuUsage[];
  /** Images a second by batch size in base images. */
  readonly alone: Readonly<Record<number, readonly number[]>>;
}

export async function benchGpu(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const found = await findDevice(setting);
  if ("absent" in found)
    return { rows: [{ what: "not run", value: found.absent }], measured: { absent: found.absent } };
  const { device } = found;
  const name = device === "cuda" ? ((await gpuName()) ?? "unknown GPU") : found.description;
  const rows: BenchRow[] = [{ what: "device", value: `${device}: ${name}` }];
  const measured: (Measured | { readonly network: string; readonly refused: string })[] = [];
  for (const network of setting.gpu.networks) {
    const backbone = await importNetwork(network, store, setting);
    for (const precision of precisions) {
      try {
        const results = await measureNetwork({
          network,
          backbone,
          precision,
          device,
          material,
          store,
          setting,
        });
        measured.push(...results);
        rows.push(...results.flatMap(rowsOf));
      } catch (thrown) {
        // An adapter may lack half precision; that is a finding, and other networks are still to be measured.
        if (!(thrown instanceof TrommelError) || precision === "fp32") throw thrown;
        measured.push({ network, refused: thrown.message });
        rows.push({ what: `${network} ${precision}`, value: thrown.message });
      }
    }
  }
  const tuned = await tuneOn(device, setting);
  return { rows: [...rows, ...tuned], measured: { device, name, measured, tuned } };
}

async function findDevice({
  gpu,
  threads,
}: BenchSetting): Promise<{ readonly device: Device; readonly description: string } | { absent: string }> {
  const reasons: string[] = [];
  for (const device of gpu.device === undefined ? (["cuda", "webgpu"] as const) : [gpu.device]) {
    try {
      const { description } = (await createEngine({ engine: "onnx", device, threads })).device;
      return { device, description };
    } catch (thrown) {
      if (!(thrown instanceof TrommelError) || gpu.device !== undefined) throw thrown;
      reasons.push(thrown.message.split(". ")[0] ?? device);
    }
  }
  return { absent: `no GPU here: ${reasons.join("; ")}` };
}

async function importNetwork(network: string, store: string, { say }: BenchSetting): Promise<string> {
  const [architecture = "", side = ""] = network.split("@");
  return await importRandomBackbone(store, architecture, Number(side), say);
}

interface NetworkWork {
  readonly network: string;
  readonly backbone: string;
  readonly precision: Precision;
  readonly device: Device;
  readonly material: Material;
  readonly store: string;
  readonly setting: BenchSetting;
}

async function measureNetwork(work: NetworkWork): Promise<Measured[]> {
  const { network, backbone, precision, material, store, setting } = work;
  const { folder, gpu } = setting;
  const name = `${network.replaceAll(/[^a-z0-9.-]/g, "-")}-${precision}`;
  const pictures = path.join(folder, `${name}-pictures`);
  const warmUp = path.join(folder, `${name}-warm-up`);
  await copyPictures(material.pictures, pictures, gpu.images);
  await copyPictures(material.pictures, warmUp, Math.min(warmUpImages, gpu.images));
  const recipe = { backbones: [backbone], precision } satisfies RecipeInput;
  const scored = {
    ...recipe,
    views: { count: 1 },
    head: { type: "linear" },
    training: { epochs: 2 },
  } as const;
  const run = `bench-gpu-${name}`;
  // One after the other, so that each has the whole card.
  const extractionAlone = await measureAlone(work, { kind: "extraction", store, recipe }, warmUp);
  const batch = fastestBatch(extractionAlone).images * recipeSchema.parse(recipe).views.count;
  const extraction = await withCluster(work, ["extract"], batch, async (cluster) => {
    await cluster.extract(`${run}-warm-up`, warmUp, recipe);
    return await repeat(work, "extraction", async (turn) => {
      // What is extracted already would not be extracted again.
      await rm(path.join(store, "features"), { recursive: true, force: true });
      return await cluster.extract(`${run}-${turn}`, pictures, recipe);
    });
  });
  const scoring = await withCluster(work, ["extract", "reduce", "score"], batch, async (cluster) => {
    await cluster.extract(run, pictures, scored);
    await cluster.finish(run, pictures, scored);
    await cluster.score(warmUp, run, path.join(folder, `${name}-warm-up-scores`));
    return await repeat(work, "scoring", (turn) =>
      cluster.score(pictures, run, path.join(folder, `${name}-scores-${turn}`)),
    );
  });
  const bundle = path.join(store, runKeys(run).bundle);
  return [
    {
      ...{ network, precision, work: "extraction", ...extraction },
      ...{ batch, alone: extractionAlone },
    },
    {
      ...{ network, precision, work: "scoring", batch, ...scoring },
      alone: await measureAlone(work, { kind: "bundle", folder: bundle }, warmUp),
    },
  ];
}

async function withCluster<T>(
  { store, device, setting }: NetworkWork,
  queues: readonly string[],
  batch: number,
  use: (cluster: BenchCluster) => Promise<T>,
): Promise<T> {
  const { threads } = setting;
  const cluster = await BenchCluster.start({ store, threads, device, batch, queues });
  try {
    return await use(cluster);
  } finally {
    await cluster.stop();
  }
}

async function repeat(
  { network, precision, setting }: NetworkWork,
  what: Measured["work"],
  once: (turn: number) => Promise<Throughput>,
): Promise<Pick<Measured, "endToEnd" | "usage">> {
  const endToEnd: Throughput[] = [];
  const usage: GpuUsage[] = [];
  for (let turn = 0; turn < repetitions; turn += 1) {
    const watched = await whileWatched(() => once(turn));
    endToEnd.push(watched.value);
    usage.push(watched.usage);
    setting.say(`${network} ${precision}, ${what} ${turn + 1}: ${rate(watched.value).toFixed(1)} images/s`);
  }
  return { endToEnd, usage };
}

async function measureAlone(
  { device, network, precision, setting }: NetworkWork,
  model: ModelWork,
  pictures: string,
): Promise<Measured["alone"]> {
  const alone = await ModelAlone.open({ model, device, threads: setting.threads, pictures });
  const rates: Record<number, number[]> = {};
  try {
    for (const factor of batchFactors) {
      const images = Math.max(
        1,
        Math.round((factor * workerDefaults.viewsPerBatch[device]) / alone.viewCount),
      );
      rates[images] = [];
      for (let turn = 0; turn < repetitions; turn += 1)
        rates[images].push(await alone.imagesPerSecond(images, setting.gpu.images));
      setting.say(
        `${network} ${precision}, ${model.kind} alone, ${images} a batch: ${rates[images].join(", ")}`,
      );
    }
  } finally {
    await alone.release();
  }
  return rates;
}

const rate = ({ images, seconds }: Throughput): number => images / seconds;

function fastestBatch(alone: Measured["alone"]): {
  readonly images: number;
  readonly rates: readonly number[];
} {
  const [fastest] = Object.entries(alone).sort(([, a], [, b]) => spreadOf(b).median - spreadOf(a).median);
  return { images: Number(fastest?.[0]), rates: fastest?.[1] ?? [] };
}

/** The anchor is the model alone with the batch size that is fastest on this card. */
function rowsOf({ network, precision, work, batch, endToEnd, usage, alone }: Measured): BenchRow[] {
  const what = `${network} ${precision}, ${work}`;
  const { images, rates } = fastestBatch(alone);
  return [
    comparisonRow({
      what: `${what}: end to end (${batch} views a batch) and the model alone (${images} images a batch), images/s`,
      own: endToEnd.map(rate),
      anchor: rates,
    }),
    {
      what: `${what}: GPU utilisation, percent, and its memory at most`,
      value: [...new Set(usage.map(describeUsage))].join("; "),
    },
    {
      what: `${what}: share of the time in which the worker's device waited`,
      value: endToEnd.map(({ deviceIdle }) => deviceIdle.toFixed(3)).join("; "),
    },
  ];
}

function describeUsage(usage: GpuUsage): string {
  if ("missing" in usage) return `not measured: ${usage.missing}`;
  const { median, least, most } = usage.utilisation;
  return `${median} (${least}–${most}), ${usage.peakMemoryMiB} MiB`;
}
