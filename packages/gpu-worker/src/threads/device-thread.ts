import { TrommelError, type Device, type EngineName } from "@trommel/common";
import { createEngine } from "../backbone/engines/create-engine.js";
import type {
  Classified,
  Classifier,
  ClassifierOptions,
  DeviceReport,
  Engine,
  ExtractorOptions,
  FeatureClassifier,
  FeatureClassifierOptions,
  FeatureExtractor,
  ViewBatch,
} from "../backbone/engines/engine.js";
import { ensembleLogits, standardized } from "../head/model/ensemble.js";
import { affineMatrix } from "../image/views/view-matrices.js";
import { flippedParameters, identityParameters } from "../image/views/view-parameters.js";
import { noveltyOf } from "../measure/novelty/novelty-distances.js";
import type { ClassifierModel } from "../stages/context.js";
import type { Answer, Handlers } from "../rpc/protocol.js";
import { serveThread } from "../rpc/serve.js";

/**
 * The thread that owns the device. ONNX Runtime's `run` blocks the thread that calls it, so nothing else happens here:
 * fetching and decoding go on elsewhere meanwhile, and so does the renewal of locks.
 */

export interface DeviceThreadData {
  readonly engine: EngineName;
  readonly device: Device;
  readonly threads: number;
  /** Models that stay loaded; more than are ever used at once. The least recently used goes first. */
  readonly modelsAtMost: number;
}

/** What the thread does. Models are loaded by key; `holds` says whether one is. */
export interface DeviceRequests {
  readonly report: { readonly argument: null; readonly result: DeviceReport };
  readonly holds: { readonly argument: string; readonly result: boolean };
  readonly loadExtractor: {
    readonly argument: ExtractorOptions & { readonly key: string };
    readonly result: null;
  };
  readonly loadClassifier: {
    readonly argument: ClassifierModel & { readonly key: string };
    readonly result: null;
  };
  /** Float32 [B·V, D]. */
  readonly extract: {
    readonly argument: { readonly key: string; readonly batch: ViewBatch };
    readonly result: Float32Array;
  };
  readonly loadHeads: {
    readonly argument: FeatureClassifierOptions & { readonly key: string };
    readonly result: null;
  };
  readonly classifyFeatures: {
    readonly argument: {
      readonly key: string;
      readonly embeddings: Float32Array;
      readonly imageCount: number;
    };
    readonly result: Classified;
  };
  readonly classify: {
    readonly argument: { readonly key: string; readonly pixels: Uint8Array; readonly imageCount: number };
    readonly result: Classified;
  };
}

type Model = FeatureExtractor | Classifier | FeatureClassifier;

serveThread<DeviceRequests, DeviceThreadData>(({ engine: name, device, threads, modelsAtMost }) => {
  const engine = createEngine({ engine: name, device, threads });
  // A failure is reported by the first call that awaits it.
  engine.catch(() => undefined);
  return handlersOf(engine, modelsAtMost);
});

function handlersOf(engine: Promise<Engine>, modelsAtMost: number): Handlers<DeviceRequests> {
  const loaded = new Map<string, Model>();
  // One call at a time: a model is never released while it runs.
  let tail: Promise<unknown> = Promise.resolve();

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = tail.then(work, work);
    tail = turn.catch(() => undefined);
    return turn;
  }

  async function load(key: string, create: () => Promise<Model>): Promise<Answer<null>> {
    if (!loaded.has(key)) loaded.set(key, await create());
    for (const [oldest, model] of loaded) {
      if (loaded.size <= modelsAtMost) break;
      loaded.delete(oldest);
      await model.release();
    }
    return { value: null };
  }

  /** The model, now the most recently used. */
  function use<Used extends Model>(key: string): Used {
    const model = loaded.get(key);
    if (model === undefined) {
      throw new TrommelError(
        "unavailable",
        `cannot use the model ${key}: other models have replaced it. Try again`,
      );
    }
    loaded.delete(key);
    loaded.set(key, model);
    return model as Used;
  }

  return {
    report: async () => ({ value: (await engine).device }),
    holds: (key) => inTurn(() => Promise.resolve({ value: loaded.has(key) })),
    loadExtractor: (request) =>
      inTurn(() => load(request.key, async () => (await engine).createExtractor(request))),
    loadClassifier: (request) =>
      inTurn(() =>
        load(request.key, async () => (await engine).createClassifier(classifierOptions(request))),
      ),
    loadHeads: (request) =>
      inTurn(() => load(request.key, async () => (await engine).createFeatureClassifier(request))),
    extract: ({ key, batch }) => inTurn(async () => moved(await use<FeatureExtractor>(key).extract(batch))),
    classify: (request) =>
      inTurn(async () => {
        const value = await use<Classifier>(request.key).classify(request.pixels, request.imageCount);
        return movedAnswers(value);
      }),
    classifyFeatures: ({ key, embeddings, imageCount }) =>
      inTurn(async () =>
        movedAnswers(await use<FeatureClassifier>(key).classifyFeatures(embeddings, imageCount)),
      ),
  };
}

function movedAnswers(value: Classified): Answer<Classified> {
  const { probabilities, novelty, embeddings } = value;
  const arrays = [probabilities, novelty, embeddings].filter((array) => array !== null);
  return { value, transfer: arrays.map(({ buffer }) => buffer as ArrayBuffer) };
}

function classifierOptions(request: ClassifierModel): ClassifierOptions {
  const { side, classCount, model, parts, embedding } = request;
  if (parts === null) return { side, classCount, model, parts, embedding };
  const { backbones, projection, flips, standardization, ensemble, novelty } = parts;
  const prepared = (features: Float32Array): Float32Array =>
    standardization === null ? features : standardized(features, standardization);
  return {
    side,
    classCount,
    model,
    embedding,
    parts: {
      prepared,
      ...{ backbones, projection },
      views: [identityParameters, ...flips.map(flippedParameters)].map((view) =>
        Float32Array.from(affineMatrix(view)),
      ),
      headLogits: (features, rows) => ensembleLogits(ensemble, prepared(features), rows),
      novelty: novelty === null ? null : (features) => noveltyOf(novelty, prepared(features)),
    },
  };
}

function moved(values: Float32Array): Answer<Float32Array> {
  return { value: values, transfer: [values.buffer as ArrayBuffer] };
}
