import { parentPort, workerData } from "node:worker_threads";
import { TrommelError, type Device, type EngineName } from "@trommel/common";
import { createEngine } from "../backbone/engines/create-engine.js";
import type {
  Classifier,
  ClassifierOptions,
  Engine,
  ExtractorOptions,
  FeatureExtractor,
  ViewBatch,
} from "../backbone/engines/engine.js";
import { predictLogits } from "../head/model/predict-head.js";
import type { ClassifierModel } from "../stages/context.js";
import { serveCalls, type Answer } from "./thread-rpc.js";

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

if (parentPort !== null) {
  const data = workerData as DeviceThreadData;
  const engine = createEngine({ engine: data.engine, device: data.device, threads: data.threads });
  // A failure is reported by the first call that awaits it.
  engine.catch(() => undefined);
  serve(parentPort, engine, data.modelsAtMost);
}

function serve(port: NonNullable<typeof parentPort>, engine: Promise<Engine>, modelsAtMost: number): void {
  const loaded = new Map<string, FeatureExtractor | Classifier>();
  // One call at a time: a model is never released while it runs.
  let tail: Promise<unknown> = Promise.resolve();

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = tail.then(work, work);
    tail = turn.catch(() => undefined);
    return turn;
  }

  async function load(key: string, create: () => Promise<FeatureExtractor | Classifier>): Promise<Answer> {
    if (!loaded.has(key)) loaded.set(key, await create());
    for (const [oldest, model] of loaded) {
      if (loaded.size <= modelsAtMost) break;
      loaded.delete(oldest);
      await model.release();
    }
    return { value: null };
  }

  /** The model, now the most recently used. */
  function use<Model extends FeatureExtractor | Classifier>(key: string): Model {
    const model = loaded.get(key);
    if (model === undefined) {
      throw new TrommelError(
        "unavailable",
        `failed to use the model ${key}: others have taken its place. Try again`,
      );
    }
    loaded.delete(key);
    loaded.set(key, model);
    return model as Model;
  }

  serveCalls(port, {
    report: async (): Promise<Answer> => ({ value: (await engine).device }),
    holds: (key: string) => inTurn(() => Promise.resolve({ value: loaded.has(key) })),
    loadExtractor: (request: ExtractorOptions & { readonly key: string }) =>
      inTurn(() => load(request.key, async () => (await engine).createExtractor(request))),
    loadClassifier: (request: ClassifierModel & { readonly key: string }) =>
      inTurn(() =>
        load(request.key, async () => (await engine).createClassifier(classifierOptions(request))),
      ),
    extract: ({ key, batch }: { key: string; batch: ViewBatch }) =>
      inTurn(async () => moved(await use<FeatureExtractor>(key).extract(batch))),
    classify: (request: { key: string; pixels: Uint8Array; imageCount: number }) =>
      inTurn(async () =>
        moved(await use<Classifier>(request.key).classify(request.pixels, request.imageCount)),
      ),
  });
}

function classifierOptions(request: ClassifierModel): ClassifierOptions {
  const { side, classCount, model, parts } = request;
  if (parts === null) return { side, classCount, model, parts };
  const headLogits = (features: Float32Array, rows: number): Float32Array =>
    predictLogits(parts.head, parts.weights, features, rows);
  return {
    side,
    classCount,
    model,
    parts: { backbones: parts.backbones, projection: parts.projection, headLogits },
  };
}

function moved(values: Float32Array): Answer {
  return { value: values, transfer: [values.buffer as ArrayBuffer] };
}
