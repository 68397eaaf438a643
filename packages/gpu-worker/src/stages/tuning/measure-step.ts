import { SeededRandom, type BackboneSpec, type ObjectStore } from "@trommel/common";
import { readBackboneSpec } from "@trommel/common/artefacts";
import type { StepProbe, StepTimes } from "@trommel/common/jobs";
import { initialState } from "../../tuning/engine/tuning-state.js";
import type {
  CreateTuner,
  Tuner,
  TuningBatch,
  TuningSetting,
  TuningState,
} from "../../tuning/engine/tuner.js";
import { tuningBatch } from "../../tuning/rounds/batch-targets.js";
import { embedWhole, imagesPerBatch, openServed } from "./held-out.js";
import { changesColour, networkSetting } from "./network.js";

/** The first step is slower than the others. */
const stepsAtMost = 4;
/** After this long no further step is measured. */
const enoughMs = 5_000;

/**
 * How long a network takes on this worker to open, to take a step, and to measure a held-out image. On pixels of noise: no image is
 * read, and nothing is written.
 */
export async function measureStep(
  store: ObjectStore,
  probe: StepProbe,
  { threads, create }: { readonly threads: number; readonly create: CreateTuner },
): Promise<Omit<StepTimes, "drainMs">> {
  const { backbone, side, classCount, tune, views } = probe;
  const start = performance.now();
  const spec = await readBackboneSpec(store, backbone);
  const network = { tune, spec, contract: spec, side, classCount, colour: changesColour(views), seed: 0 };
  const setting = await networkSetting(store, network, threads);
  const state = initialState(setting, {
    kernel: new Float32Array(spec.dimension * classCount),
    bias: new Float32Array(classCount),
  });
  const tuner = await create(setting, state);
  const openMs = performance.now() - start;
  let stepMs: number;
  try {
    stepMs = await fastestStep(tuner, () => noiseBatch(probe, spec.dimension));
  } finally {
    await tuner.release();
  }
  return { openMs, stepMs, heldOutImageMs: await heldOutImageTime(spec, setting, state) };
}

async function fastestStep(tuner: Tuner, batchOf: () => TuningBatch): Promise<number> {
  let [fastest, total] = [Number.POSITIVE_INFINITY, 0];
  for (let step = 0; step < stepsAtMost && total < enoughMs; step += 1) {
    const batch = batchOf();
    const start = performance.now();
    await tuner.step(batch, 1e-6);
    const taken = performance.now() - start;
    fastest = Math.min(fastest, taken);
    total += taken;
  }
  return fastest;
}

/** A batch as the recipe draws it. */
function noiseBatch({ side, classCount, tune, views }: StepProbe, dimension: number): TuningBatch {
  const { batchSize } = tune;
  const labels = Int32Array.from({ length: batchSize }, (_, row) => row % classCount);
  return tuningBatch(
    { tune, views, seed: 0, classCount, dimension, classWeights: undefined },
    { pixels: noise(batchSize, side), keys: Array.from(labels, (_, row) => `${row}`), labels },
    { epoch: 1, batch: 0 },
  );
}

async function heldOutImageTime(
  spec: BackboneSpec,
  setting: TuningSetting,
  state: TuningState,
): Promise<number> {
  const extractor = await openServed(spec, setting, state);
  try {
    const start = performance.now();
    await embedWhole(extractor, noise(imagesPerBatch, setting.side), imagesPerBatch);
    return (performance.now() - start) / imagesPerBatch;
  } finally {
    await extractor.release();
  }
}

/** [images, side, side, 3] */
function noise(images: number, side: number): Uint8Array {
  const random = new SeededRandom(images);
  return Uint8Array.from({ length: images * side * side * 3 }, () => random.bits());
}
