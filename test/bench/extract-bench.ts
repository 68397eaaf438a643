import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { recipe as recipeSchema, type RecipeInput } from "@trommel/common";
import { viewsPerBatch } from "@trommel/gpu-worker/worker";
import { BenchCluster, type Extraction } from "./bench-cluster.js";
import { copyPictures, type Material } from "./material.js";
import type { BenchResult, BenchSetting } from "./result.js";
import type { AnchorMeasurement, AnchorOptions } from "./runtime-alone.js";
import { showSpread, spreadOf } from "./statistics.js";

const images = 512;
const warmUpImages = 96;
const repetitions = 3;

/** Extraction with one small backbone, end to end, against ONNX Runtime alone. */
export async function benchExtract(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const pictures = path.join(setting.folder, "pictures");
  const warmUp = path.join(setting.folder, "warm-up");
  await copyPictures(material.pictures, pictures, images);
  await copyPictures(material.pictures, warmUp, warmUpImages);
  const recipe = { backbones: [material.backbone] };
  const turns = await compareExtraction({
    name: "extract",
    recipe,
    pictures,
    warmUp,
    repetitions,
    store,
    setting,
  });
  return summarize("extract", turns, ">= 0.85");
}

export interface Comparison {
  readonly name: string;
  readonly recipe: RecipeInput;
  /** Folders of class folders. */
  readonly pictures: string;
  readonly warmUp: string;
  readonly repetitions: number;
  /** Folder of the store. */
  readonly store: string;
  readonly setting: BenchSetting;
}

/**
 * Extraction end to end against ONNX Runtime alone: the same graph, batch size, threads and pictures, taken in turns so
 * that both meet the same load. Process start and model loading are outside both clocks: the worker has
 * extracted a few pictures with the same model before.
 */
export async function compareExtraction(comparison: Comparison): Promise<Turn[]> {
  const { name, recipe, pictures, warmUp, repetitions, store } = comparison;
  const { threads, say } = comparison.setting;
  const anchors = { worker: startAnchor("worker"), default: startAnchor("default") };
  const cluster = await BenchCluster.start({ store, threads, queues: ["extract"] });
  const turns: Turn[] = [];
  try {
    await cluster.extract(`bench-${name}-warm-up`, warmUp, recipe);
    for (const anchor of Object.values(anchors)) await anchor.ready;
    for (let turn = 0; turn < repetitions; turn += 1) {
      // What is extracted already would not be extracted again.
      await rm(path.join(store, "features"), { recursive: true, force: true });
      const worker = await cluster.extract(`bench-${name}-${turn}`, pictures, recipe);
      const alone = {
        worker: await anchors.worker.measure(),
        default: await anchors.default.measure(),
      };
      turns.push({ worker, alone });
      say(`turn ${turn + 1} of ${repetitions}: ${describeTurn({ worker, alone })}`);
    }
  } finally {
    for (const anchor of Object.values(anchors)) anchor.stop();
    await cluster.stop();
  }
  return turns;

  function startAnchor(session: AnchorOptions["session"]): Anchor {
    const { views } = recipeSchema.parse(recipe);
    const imagesPerBatch = Math.max(1, Math.round(viewsPerBatch.cpu / views.count));
    return new Anchor({ store, recipe, pictures, imagesPerBatch, threads, session });
  }
}

export interface Turn {
  readonly worker: Extraction;
  readonly alone: Readonly<Record<AnchorOptions["session"], AnchorMeasurement>>;
}

/** The anchor's process, see runtime-alone.ts. */
class Anchor {
  readonly ready: Promise<unknown>;
  readonly #child: ChildProcess;

  constructor(options: AnchorOptions) {
    const entry = fileURLToPath(new URL("./runtime-alone.js", import.meta.url));
    // The environment of a worker of the embedded cluster.
    const env = { MALLOC_ARENA_MAX: "2", ...process.env };
    this.#child = fork(entry, [JSON.stringify(options)], { env });
    this.ready = this.#message();
    this.ready.catch(() => undefined);
  }

  async measure(): Promise<AnchorMeasurement> {
    this.#child.send("run");
    return (await this.#message()) as AnchorMeasurement;
  }

  stop(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  async #message(): Promise<unknown> {
    const ended = once(this.#child, "exit").then(() => {
      throw new Error("the anchor's process has ended; its own words are above");
    });
    ended.catch(() => undefined);
    const [message] = (await Promise.race([once(this.#child, "message"), ended])) as [unknown];
    return message;
  }
}

const rate = (measurement: { images: number; seconds: number }): number =>
  measurement.images / measurement.seconds;
const cpuPerImageMs = (measurement: { images: number; cpuSeconds: number }): number =>
  (1000 * measurement.cpuSeconds) / measurement.images;

function describeTurn({ worker, alone }: Turn): string {
  const one = (name: string, m: AnchorMeasurement): string =>
    `${name} ${rate(m).toFixed(1)} images/s (${cpuPerImageMs(m).toFixed(1)} ms CPU each)`;
  return (
    `${one("worker", worker)}; ${one("ONNX Runtime alone", alone.worker)}; ` +
    `${one("with its default options", alone.default)}; others used ${(worker.otherCpuSeconds / worker.seconds).toFixed(2)} cores`
  );
}

/**
 * A turn's anchor is the faster of the two sets of options, so that ONNX Runtime is not held back by ours. Other
 * processes may have slowed either side of a turn; the best turn of each is the one that was slowed least.
 */
export function summarize(name: string, turns: readonly Turn[], target?: string): BenchResult {
  const anchorOf = ({ alone }: Turn): AnchorMeasurement =>
    rate(alone.default) > rate(alone.worker) ? alone.default : alone.worker;
  const workerRates = spreadOf(turns.map(({ worker }) => rate(worker)));
  const aloneRates = spreadOf(turns.map((turn) => rate(anchorOf(turn))));
  const ratios = spreadOf(turns.map((turn) => rate(turn.worker) / rate(anchorOf(turn))));
  const bestRatio = workerRates.most / aloneRates.most;
  const cpuRatios = spreadOf(turns.map((turn) => cpuPerImageMs(anchorOf(turn)) / cpuPerImageMs(turn.worker)));
  const othersOf = (measurement: Extraction | AnchorMeasurement): number =>
    measurement.otherCpuSeconds / measurement.seconds;
  const others = spreadOf(turns.flatMap((turn) => [othersOf(turn.worker), othersOf(anchorOf(turn))]));
  return {
    measured: { turns, ratios, bestRatio, cpuRatios },
    rows: [
      { what: `${name}: worker, store to feature shard, images/s`, value: showSpread(workerRates, 1) },
      { what: `${name}: ONNX Runtime alone, images/s`, value: showSpread(aloneRates, 1) },
      {
        what: `${name}: worker / ONNX Runtime alone`,
        value: showSpread(ratios, 3),
        ...(target === undefined ? {} : { target }),
      },
      { what: `${name}: best turn of the worker / best turn of the anchor`, value: bestRatio.toFixed(3) },
      { what: `${name}: CPU time per image, alone / worker`, value: showSpread(cpuRatios, 3) },
      { what: `${name}: cores that other processes used meanwhile`, value: showSpread(others, 2) },
    ],
  };
}
