import { InferenceSession, Tensor } from "../../graph/onnx/onnx-runtime.js";
import { TrommelError, messageOf } from "@trommel/common";
import type { ServedEmbedding } from "@trommel/common/artefacts";
import { buildExtractionGraph, dimensionOf } from "../../graph/extraction-graph.js";
import { withEmbeddingOutput } from "../../graph/embedding-output.js";
import { imagesPerRun } from "../../graph/slices.js";
import { joinFloats } from "../../graph/join-floats.js";
import { checkBatch, checkPixels } from "./batch.js";
import type {
  Classified,
  Classifier,
  ClassifierOptions,
  Engine,
  EngineOptions,
  ExtractorOptions,
  FeatureClassifier,
  FeatureClassifierOptions,
  FeatureExtractor,
  ViewBatch,
} from "./engine.js";
import { forbidsCpu, probeProvider, sessionOptions, withoutCpu } from "./onnx-provider.js";

/**
 * ONNX Runtime. `extract` and `classify` compute on the calling thread from start to end (onnxruntime-node's `run` is
 * asynchronous in form only), so a worker runs its engine on a separate thread.
 * @throws TrommelError `device-unavailable` if the device does not work on this machine
 */
export async function createOnnxEngine(options: EngineOptions): Promise<Engine> {
  const device = await probeProvider(options);
  return {
    name: "onnx",
    device,
    createExtractor: (extractor) => createExtractor(options, extractor),
    createClassifier: (classifier) => createClassifier(options, classifier),
    createFeatureClassifier: (classifier) => createFeatureClassifier(options, classifier),
  };
}

async function createExtractor(engine: EngineOptions, options: ExtractorOptions): Promise<FeatureExtractor> {
  const { side, viewCount } = options;
  const dimension = dimensionOf(options.backbones);
  const graph = buildExtractionGraph({ ...options, wholeBatch: engine.device !== "cpu" });
  const session = await openSession(graph, engine, "the extraction graph");
  const largest = Math.max(...options.backbones.map(({ spec }) => spec.inputSize));
  const perRun = imagesPerRun(largest, viewCount);
  const compute = async (batch: ViewBatch): Promise<Float32Array> => {
    const views = batch.imageCount * viewCount;
    const feeds = {
      pixels: new Tensor("uint8", batch.pixels, [batch.imageCount, side, side, 3]),
      affine: new Tensor("float32", batch.affine, [views, 2, 3]),
      colour: new Tensor("float32", batch.colour, [views, 3, 4]),
    };
    const { features } = await runSession(session, feeds, { features: [views, dimension] });
    return features;
  };
  return {
    dimension,
    async extract(batch) {
      checkBatch(batch, options);
      if (engine.device !== "cpu") return await compute(batch);
      const parts = await inParts(batch.imageCount, perRun, (first, end) =>
        compute({
          imageCount: end - first,
          pixels: batch.pixels.subarray(first * side * side * 3, end * side * side * 3),
          affine: batch.affine.subarray(first * viewCount * 6, end * viewCount * 6),
          colour: batch.colour.subarray(first * viewCount * 12, end * viewCount * 12),
        }),
      );
      return joinFloats(parts);
    },
    release: () => session.release(),
  };
}

async function createClassifier(engine: EngineOptions, options: ClassifierOptions): Promise<Classifier> {
  const { side, classCount, embedding } = options;
  const session = await openSession(
    withEmbedding(options.model, embedding),
    engine,
    "the bundle's model.onnx",
  );
  const compute = (pixels: Uint8Array, imageCount: number): Promise<Classified> => {
    const feeds = { pixels: new Tensor("uint8", pixels, [imageCount, side, side, 3]) };
    return runHeads(session, feeds, { imageCount, classCount, embedding });
  };
  return {
    classCount,
    async classify(pixels, imageCount) {
      checkPixels(pixels, imageCount, side);
      if (engine.device !== "cpu") return await compute(pixels, imageCount);
      // The base image is at least as large as the largest input.
      const parts = await inParts(imageCount, imagesPerRun(side, 1), (first, end) =>
        compute(pixels.subarray(first * side * side * 3, end * side * side * 3), end - first),
      );
      return {
        probabilities: joinFloats(parts.map((part) => part.probabilities)),
        novelty: joinedIfAny(parts.map((part) => part.novelty)),
        embeddings: joinedIfAny(parts.map((part) => part.embeddings)),
      };
    },
    release: () => session.release(),
  };
}

async function createFeatureClassifier(
  engine: EngineOptions,
  { classCount, dimension, graph, embedding }: FeatureClassifierOptions,
): Promise<FeatureClassifier> {
  const session = await openSession(withEmbedding(graph, embedding), engine, "the heads of the model");
  return {
    classifyFeatures: (embeddings, imageCount) => {
      const shape = [embeddings.length / dimension, dimension];
      const feeds = { embeddings: new Tensor("float32", embeddings, shape) };
      return runHeads(session, feeds, { imageCount, classCount, embedding });
    },
    release: () => session.release(),
  };
}

function withEmbedding(model: Uint8Array, embedding: ServedEmbedding | undefined): Uint8Array {
  return embedding === undefined ? model : withEmbeddingOutput(model, embedding);
}

/** A model that tells no novelty has no such output. */
async function runHeads(
  session: InferenceSession,
  feeds: Record<string, Tensor>,
  of: {
    readonly imageCount: number;
    readonly classCount: number;
    readonly embedding?: ServedEmbedding | undefined;
  },
): Promise<Classified> {
  const { imageCount, classCount, embedding } = of;
  const outputs = await runSession(session, feeds, {
    probabilities: [imageCount, classCount],
    ...(session.outputNames.includes("novelty") ? { novelty: [imageCount] } : {}),
    ...(embedding === undefined ? {} : { embedding: [embedding.views * imageCount, embedding.dimension] }),
  });
  return {
    probabilities: outputs.probabilities,
    novelty: outputs.novelty ?? null,
    // The images themselves come before their flips.
    embeddings: outputs.embedding?.slice(0, imageCount * (embedding?.dimension ?? 0)) ?? null,
  };
}

/** On a CPU a batch runs a few images at a time, see graph/slices. */
async function inParts<Part>(
  imageCount: number,
  perRun: number,
  run: (first: number, end: number) => Promise<Part>,
): Promise<Part[]> {
  const parts: Part[] = [];
  for (let first = 0; first < imageCount; first += perRun) {
    parts.push(await run(first, Math.min(first + perRun, imageCount)));
  }
  return parts;
}

/** What every part has, or none. */
function joinedIfAny(parts: readonly (Float32Array | null)[]): Float32Array | null {
  const found = parts.flatMap((part) => part ?? []);
  return found.length === 0 ? null : joinFloats(found);
}

/**
 * On a GPU, first tries a session that forbids operators on the CPU. Some networks need a few there (those that compute with
 * shapes); then the session is opened without that restriction, and a notice says so.
 */
async function openSession(
  model: Uint8Array,
  engine: EngineOptions,
  what: string,
): Promise<InferenceSession> {
  if (engine.device === "cpu") return await createSession(model, engine, what, {});
  const create = (entries: Readonly<Record<string, string>>): Promise<InferenceSession> =>
    createSession(model, engine, what, entries);
  try {
    return await create(withoutCpu);
  } catch (thrown) {
    if (!(thrown instanceof TrommelError) || !forbidsCpu(thrown.cause)) throw thrown;
    const session = await create({});
    const notice = engine.onNotice ?? ((line) => void process.stderr.write(`${line}\n`));
    notice(
      `${what} runs partly on the CPU: ${engine.device} does not support all its operators, so every batch is copied between the two`,
    );
    return session;
  }
}

async function createSession(
  model: Uint8Array,
  engine: EngineOptions,
  what: string,
  entries: Readonly<Record<string, string>>,
): Promise<InferenceSession> {
  try {
    return await InferenceSession.create(model, sessionOptions(engine, entries));
  } catch (cause) {
    if (needsHalf(cause)) throw withoutHalf(cause);
    throw new TrommelError(
      "unsupported",
      `cannot open ${what} on ${engine.device}: ${messageOf(cause)}. Check the backbone with \`trommel backbone show\``,
      { cause },
    );
  }
}

/** @param shapes of the outputs that are computed, by name */
async function runSession<Shapes extends object>(
  session: InferenceSession,
  feeds: Record<string, Tensor>,
  shapes: Shapes,
): Promise<{ [Name in keyof Shapes]: Float32Array }> {
  const outputs = Object.entries(shapes) as [string, readonly number[]][];
  const names = outputs.map(([name]) => name);
  const results = await session.run(feeds, names).catch((cause: unknown) => {
    throw needsHalf(cause) ? withoutHalf(cause) : cause;
  });
  const read = outputs.map(([name, shape]) => [name, takeOutput(results[name], name, shape)]);
  return Object.fromEntries(read) as { [Name in keyof Shapes]: Float32Array };
}

function takeOutput(tensor: Tensor | undefined, output: string, shape: readonly number[]): Float32Array {
  if (tensor === undefined || tensor.type !== "float32" || tensor.dims.join() !== shape.join()) {
    throw new TrommelError(
      "corrupt",
      `cannot compute: the output ${output} is ${tensor?.type ?? "absent"} [${tensor?.dims.join() ?? ""}], ` +
        `not float32 [${shape.join()}]. Create the backbone or bundle again`,
    );
  }
  // Copied because the runtime frees its memory with the tensor.
  const values = Float32Array.from(tensor.data as Float32Array);
  tensor.dispose();
  if (!values.every(Number.isFinite)) {
    throw new TrommelError(
      "unsupported",
      `cannot compute: the output ${output} has values that are not finite. ` +
        "Check the backbone and its normalisation; if the recipe has precision: fp16, use fp32",
    );
  }
  return values;
}

/** Recognises WebGPU's message; half precision is an optional feature of an adapter. */
function needsHalf(thrown: unknown): boolean {
  return /requires f16/.test(messageOf(thrown));
}

function withoutHalf(cause: unknown): TrommelError {
  return new TrommelError(
    "device-unavailable",
    "cannot compute in half precision: this WebGPU adapter has no shader-f16. Use precision: fp32, or another device",
    { cause },
  );
}
