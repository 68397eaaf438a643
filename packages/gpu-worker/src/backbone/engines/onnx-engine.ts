import { InferenceSession, Tensor } from "onnxruntime-node";
import { TrommelError, messageOf } from "@trommel/common";
import { buildExtractionGraph, dimensionOf } from "../../graph/extraction-graph.js";
import { checkBatch, checkPixels } from "./batch.js";
import type {
  Classifier,
  ClassifierOptions,
  Engine,
  EngineOptions,
  ExtractorOptions,
  FeatureExtractor,
} from "./engine.js";
import { forbidsCpu, probeProvider, sessionOptions, withoutCpu } from "./onnx-provider.js";

/**
 * ONNX Runtime. A call of `extract` or `classify` computes on the calling thread from start to end (onnxruntime-node's
 * `run` is asynchronous in form only), so a worker runs its engine on a thread of its own.
 * @throws TrommelError `device-unavailable` when the device does not work on this machine
 */
export async function createOnnxEngine(options: EngineOptions): Promise<Engine> {
  const device = await probeProvider(options);
  return {
    name: "onnx",
    device,
    createExtractor: (extractor) => createExtractor(options, extractor),
    createClassifier: (classifier) => createClassifier(options, classifier),
  };
}

async function createExtractor(engine: EngineOptions, options: ExtractorOptions): Promise<FeatureExtractor> {
  const { side, viewCount } = options;
  const dimension = dimensionOf(options.backbones);
  const session = await openSession(buildExtractionGraph(options), engine, "the extraction graph");
  return {
    dimension,
    async extract(batch) {
      checkBatch(batch, side, viewCount);
      const views = batch.imageCount * viewCount;
      return await runSession(
        session,
        {
          pixels: new Tensor("uint8", batch.pixels, [batch.imageCount, side, side, 3]),
          affine: new Tensor("float32", batch.affine, [views, 2, 3]),
          colour: new Tensor("float32", batch.colour, [views, 3, 4]),
        },
        "features",
        [views, dimension],
      );
    },
    release: () => session.release(),
  };
}

async function createClassifier(engine: EngineOptions, options: ClassifierOptions): Promise<Classifier> {
  const { side, classCount } = options;
  const session = await openSession(options.model, engine, "the bundle's model.onnx");
  return {
    classCount,
    async classify(pixels, imageCount) {
      checkPixels(pixels, imageCount, side);
      return await runSession(
        session,
        { pixels: new Tensor("uint8", pixels, [imageCount, side, side, 3]) },
        "probabilities",
        [imageCount, classCount],
      );
    },
    release: () => session.release(),
  };
}

/**
 * On a GPU first in a session that forbids operators on the CPU. Some networks need a few there (those that compute with
 * shapes); then the session is opened without that, and it is said.
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
      `${what} runs partly on the CPU: ${engine.device} does not take all of its operators, so every batch is copied to and fro`,
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
      `failed to open ${what} on ${engine.device}: ${messageOf(cause)}. Check the backbone with \`trommel backbone show\`.`,
      { cause },
    );
  }
}

async function runSession(
  session: InferenceSession,
  feeds: Record<string, Tensor>,
  output: string,
  shape: readonly number[],
): Promise<Float32Array> {
  const results = await session.run(feeds, [output]).catch((cause: unknown) => {
    throw needsHalf(cause) ? withoutHalf(cause) : cause;
  });
  const tensor = results[output];
  if (tensor === undefined || tensor.type !== "float32" || tensor.dims.join() !== shape.join()) {
    throw new TrommelError(
      "corrupt",
      `failed to compute: the output ${output} is ${tensor?.type ?? "absent"} [${tensor?.dims.join() ?? ""}], ` +
        `not float32 [${shape.join()}]. Make the backbone or bundle again.`,
    );
  }
  // Copied out of the runtime's memory, which is freed with the tensor.
  const values = Float32Array.from(tensor.data as Float32Array);
  tensor.dispose();
  if (!values.every(Number.isFinite)) {
    throw new TrommelError(
      "unsupported",
      `failed to compute: the output ${output} has numbers that are not finite. ` +
        "Check the backbone and its normalisation, and with precision: fp16 take fp32.",
    );
  }
  return values;
}

/** In WebGPU's own words; half precision is an optional feature of an adapter. */
function needsHalf(thrown: unknown): boolean {
  return /requires f16/.test(messageOf(thrown));
}

function withoutHalf(cause: unknown): TrommelError {
  return new TrommelError(
    "device-unavailable",
    "failed to compute in half precision: this WebGPU adapter has no shader-f16. Use precision: fp32, or another device.",
    { cause },
  );
}
