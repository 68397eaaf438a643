import { readFile } from "node:fs/promises";
import path from "node:path";
import { bundleFiles, bundleManifest, type Recipe } from "@trommel/common";
import { sessionOptions } from "#gpu-worker/backbone/engines/onnx-provider";
import { buildExtractionGraph } from "#gpu-worker/graph/extraction-graph";
import { imagesPerRun } from "#gpu-worker/graph/slices";
import { decodeImage, type ResolvedDecodeRecipe } from "#gpu-worker/image/decode/decode-image";
import { drawViews } from "#gpu-worker/image/views/view";
import { workerDefaults } from "@trommel/common";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { labelledFiles } from "../material/material.js";
import { readExtraction, type ModelWork } from "./model-work.js";
import { machineBusySeconds } from "../measure/process-usage.js";

/**
 * The anchor, a process of its own: ONNX Runtime alone on the worker's graph, with every input decoded and in memory
 * before the clock starts. It answers each message with one measurement: `run` of that, `decode` of decoding the same pictures
 * while nothing else happens, their files in memory.
 */

export interface AnchorOptions {
  readonly graph: ModelWork;
  /** Folder of class folders. */
  readonly pictures: string;
  /** This process takes every `of`-th picture, from `index` on. */
  readonly share: { readonly index: number; readonly of: number };
  readonly threads: number;
  /**
   * `worker`: the options that the worker's sessions have, and so many pictures a run. `default`: ONNX Runtime's own with as
   * many threads, and a batch of the usual size at once.
   */
  readonly session: "worker" | "default";
}

export type AnchorTask = "run" | "decode";

export interface AnchorMeasurement {
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** CPU time of every other process of the machine meanwhile. */
  readonly otherCpuSeconds: number;
  readonly images: number;
}

interface Subject {
  readonly model: Uint8Array;
  readonly decode: ResolvedDecodeRecipe;
  readonly output: string;
  /** Null where the model takes pixels alone. */
  readonly recipe: Recipe | null;
}

interface Batch {
  readonly files: readonly Uint8Array[];
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly images: number;
}

const options = JSON.parse(process.argv[2] ?? "") as AnchorOptions;
const subject = await readSubject(options.graph);
const session = await openSession(subject.model);
const batches = await decodeBatches();
const tasks: Readonly<Record<AnchorTask, () => Promise<void>>> = { run: runAll, decode: decodeAll };
// The first runs allocate; the worker's are not measured either.
for (const batch of batches.slice(0, 4)) await runBatch(batch);
process.once("disconnect", () => process.exit(0));
process.on("message", (task: AnchorTask) => void measure(tasks[task]).then(tell));
tell("ready");

/** The benchmark may have ended meanwhile. */
function tell(message: AnchorMeasurement | "ready"): void {
  if (process.connected) process.send?.(message);
}

async function readSubject(graph: ModelWork): Promise<Subject> {
  if (graph.kind === "bundle") {
    const file = (name: string): string => path.join(graph.folder, name);
    const { input, output } = bundleManifest.parse(
      JSON.parse(await readFile(file(bundleFiles.manifest), "utf8")),
    );
    const decode = { ...input.decode, side: input.side };
    return { model: await readFile(file(bundleFiles.model)), decode, output: output.name, recipe: null };
  }
  const { recipe, decode, extractor } = await readExtraction(graph);
  const wholeBatch = options.session === "default";
  return { model: buildExtractionGraph({ ...extractor, wholeBatch }), decode, output: "features", recipe };
}

async function openSession(model: Uint8Array): Promise<InferenceSession> {
  const own: InferenceSession.SessionOptions = {
    executionProviders: ["cpu"],
    intraOpNumThreads: options.threads,
  };
  const workers = sessionOptions({ device: "cpu", threads: options.threads });
  return await InferenceSession.create(model, options.session === "default" ? own : workers);
}

async function decodeBatches(): Promise<Batch[]> {
  const { share } = options;
  const viewCount = subject.recipe?.views.count ?? 1;
  const imagesPerBatch =
    options.session === "default"
      ? Math.max(1, Math.round(workerDefaults.viewsPerBatch.cpu / viewCount))
      : imagesPerRun(subject.decode.side, viewCount);
  const all = await labelledFiles(options.pictures);
  const files = all.filter((_, index) => index % share.of === share.index);
  const decoded: Batch[] = [];
  for (let start = 0; start < files.length; start += imagesPerBatch) {
    decoded.push(await decodeBatch(files.slice(start, start + imagesPerBatch)));
  }
  return decoded;
}

async function decodeBatch(files: readonly string[]): Promise<Batch> {
  const { side } = subject.decode;
  const images = files.length;
  const pixels = new Uint8Array(images * side * side * 3);
  const bodies: Uint8Array[] = [];
  for (const [at, file] of files.entries()) {
    const bytes = await readFile(path.join(options.pictures, file));
    bodies.push(bytes);
    pixels.set(await decode(bytes, file), at * side * side * 3);
  }
  const feeds = { pixels: new Tensor("uint8", pixels, [images, side, side, 3]) };
  const more = subject.recipe === null ? {} : views(subject.recipe, files);
  return { images, files: bodies, feeds: { ...feeds, ...more } };
}

async function decode(bytes: Uint8Array, file: string): Promise<Uint8Array> {
  const decoded = await decodeImage(bytes, subject.decode);
  if (!decoded.ok) throw new Error(`${file} cannot be decoded: ${decoded.reason}`);
  return decoded.pixels;
}

function views(recipe: Recipe, files: readonly string[]): Record<"affine" | "colour", Tensor> {
  const rows = files.length * recipe.views.count;
  const affine = new Float32Array(rows * 6);
  const colour = new Float32Array(rows * 12);
  for (const [at, file] of files.entries()) {
    const drawn = drawViews(recipe.views, recipe.seed, file);
    affine.set(drawn.affine, at * drawn.affine.length);
    colour.set(drawn.colour, at * drawn.colour.length);
  }
  return {
    affine: new Tensor("float32", affine, [rows, 2, 3]),
    colour: new Tensor("float32", colour, [rows, 3, 4]),
  };
}

async function runBatch({ feeds }: Batch): Promise<void> {
  const results = await session.run(feeds, [subject.output]);
  results[subject.output]?.dispose();
}

async function runAll(): Promise<void> {
  for (const batch of batches) await runBatch(batch);
}

/** As many at once as there are threads. */
async function decodeAll(): Promise<void> {
  const waiting = batches.flatMap(({ files }) => files);
  const decodeWaiting = async (): Promise<void> => {
    for (let bytes = waiting.pop(); bytes !== undefined; bytes = waiting.pop())
      await decode(bytes, "a picture");
  };
  await Promise.all(Array.from({ length: options.threads }, decodeWaiting));
}

async function measure(task: () => Promise<void>): Promise<AnchorMeasurement> {
  const cpuBefore = process.cpuUsage();
  const machineBefore = machineBusySeconds();
  const start = performance.now();
  await task();
  const seconds = (performance.now() - start) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  const cpuSeconds = (cpu.user + cpu.system) / 1e6;
  const images = batches.reduce((sum, batch) => sum + batch.images, 0);
  return { seconds, cpuSeconds, otherCpuSeconds: machineBusySeconds() - machineBefore - cpuSeconds, images };
}
