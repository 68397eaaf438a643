import { readFile } from "node:fs/promises";
import path from "node:path";
import { openStore, recipe as recipeSchema, resolveBackbone, type RecipeInput } from "@trommel/common";
import { sessionOptions } from "@trommel/gpu-worker/backbone/engines/onnx-provider";
import { buildExtractionGraph } from "@trommel/gpu-worker/graph/extraction-graph";
import { decodeImage } from "@trommel/gpu-worker/image/decode-image";
import { drawViews, hasColour } from "@trommel/gpu-worker/image/view";
import { loadBackbones } from "@trommel/gpu-worker/stages/load-backbones";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { labelledFiles } from "./material.js";
import { machineBusySeconds } from "./process-usage.js";

/**
 * The anchor, a process of its own: ONNX Runtime alone on the worker's extraction graph, with every input decoded and
 * in memory before the clock starts. It answers each `run` message with one measurement.
 */

export interface AnchorOptions {
  readonly store: string;
  readonly recipe: RecipeInput;
  readonly pictures: string;
  readonly imagesPerBatch: number;
  readonly threads: number;
  /** `worker`: the options that the worker's sessions have. `default`: ONNX Runtime's own, with as many threads. */
  readonly session: "worker" | "default";
}

export interface AnchorMeasurement {
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** CPU time of every other process of the machine meanwhile. */
  readonly otherCpuSeconds: number;
  readonly images: number;
}

type Feeds = Record<"pixels" | "affine" | "colour", Tensor>;

const options = JSON.parse(process.argv[2] ?? "") as AnchorOptions;
const recipe = recipeSchema.parse(options.recipe);
const { session, side } = await openSession();
const batches = await decodeBatches(side);
// The first runs allocate; the worker's are not measured either.
for (const batch of batches.slice(0, 4)) await runBatch(batch);
process.once("disconnect", () => process.exit(0));
process.on("message", () => void measure().then(tell));
tell("ready");

/** The benchmark may have ended meanwhile. */
function tell(message: AnchorMeasurement | "ready"): void {
  if (process.connected) process.send?.(message);
}

async function openSession(): Promise<{ session: InferenceSession; side: number }> {
  const store = openStore(options.store);
  const names = recipe.backbones.map(({ name }) => name);
  const specs = [];
  for (const name of names) specs.push(await resolveBackbone(store, name));
  const side = Math.max(...specs.map(({ inputSize }) => inputSize));
  const graph = buildExtractionGraph({
    backbones: await loadBackbones(
      store,
      names.map((id) => ({ id, normalization: null })),
      false,
    ),
    side,
    viewCount: recipe.views.count,
    colour: hasColour(recipe.views),
  });
  store.close();
  const own: InferenceSession.SessionOptions = {
    executionProviders: ["cpu"],
    intraOpNumThreads: options.threads,
  };
  const chosen =
    options.session === "default" ? own : sessionOptions({ device: "cpu", threads: options.threads });
  return { session: await InferenceSession.create(graph, chosen), side };
}

async function decodeBatches(sideOfBase: number): Promise<Feeds[]> {
  const files = await labelledFiles(options.pictures);
  const feeds: Feeds[] = [];
  for (let start = 0; start < files.length; start += options.imagesPerBatch) {
    feeds.push(await decodeBatch(files.slice(start, start + options.imagesPerBatch), sideOfBase));
  }
  return feeds;
}

async function decodeBatch(files: readonly string[], sideOfBase: number): Promise<Feeds> {
  const { count } = recipe.views;
  const pixels = new Uint8Array(files.length * sideOfBase * sideOfBase * 3);
  const affine = new Float32Array(files.length * count * 6);
  const colour = new Float32Array(files.length * count * 12);
  for (const [at, file] of files.entries()) {
    const bytes = await readFile(path.join(options.pictures, file));
    const decoded = await decodeImage(bytes, { ...recipe.decode, side: sideOfBase });
    if (!decoded.ok) throw new Error(`${file} cannot be decoded: ${decoded.reason}`);
    pixels.set(decoded.pixels, at * sideOfBase * sideOfBase * 3);
    const views = drawViews(recipe.views, recipe.seed, file);
    affine.set(views.affine, at * count * 6);
    colour.set(views.colour, at * count * 12);
  }
  const rows = files.length * count;
  return {
    pixels: new Tensor("uint8", pixels, [files.length, sideOfBase, sideOfBase, 3]),
    affine: new Tensor("float32", affine, [rows, 2, 3]),
    colour: new Tensor("float32", colour, [rows, 3, 4]),
  };
}

async function runBatch(feeds: Feeds): Promise<void> {
  const results = await session.run(feeds, ["features"]);
  results["features"]?.dispose();
}

async function measure(): Promise<AnchorMeasurement> {
  const cpuBefore = process.cpuUsage();
  const machineBefore = machineBusySeconds();
  const start = performance.now();
  let images = 0;
  for (const batch of batches) {
    await runBatch(batch);
    images += batch.pixels.dims[0] ?? 0;
  }
  const seconds = (performance.now() - start) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  const cpuSeconds = (cpu.user + cpu.system) / 1e6;
  return { seconds, cpuSeconds, otherCpuSeconds: machineBusySeconds() - machineBefore - cpuSeconds, images };
}
