import { type BackboneSpec, type EngineName } from "@trommel/common";
import { compileLayers } from "../../backbone/compile/layers-to-onnx.js";
import { createEngine } from "../../backbone/engines/create-engine.js";
import type { FeatureExtractor } from "../../backbone/engines/engine.js";
import { modelOf } from "../../backbone/layers/cut-layers.js";
import { openImages } from "../../image/read/image-source.js";
import { streamImages } from "../../image/read/image-stream.js";
import { affineMatrix, colourMatrix } from "../../image/views/view-matrices.js";
import { identityParameters } from "../../image/views/view-parameters.js";
import type { TuningSetting, TuningState } from "../../tuning/engine/tuner.js";
import { classifierOf, tunedLayers, type Classifier } from "../../tuning/engine/tuning-state.js";
import type { StageContext } from "../context.js";
import { ImageBatches, type ImageBatch } from "../images/image-batches.js";
import { lostImage } from "./round-images.js";
import type { TuningImages } from "./tuning-images.js";
import { specInUse, type TuningRun } from "./tuning-run.js";

/** Images that are embedded together. */
export const imagesPerBatch = 16;
/** Decoded images that wait, in batches. */
const windowBatches = 4;

export interface HeldOutFigures {
  readonly images: number;
  /** Mean cross-entropy, without smoothing. */
  readonly loss: number;
  readonly accuracy: number;
}

/**
 * How good a state is on the images that tuning never sees: their embeddings by the network as it would be served, with the average of
 * the weights where there is one, and the tuned classifier.
 */
export async function measureHeldOut(
  run: TuningRun,
  heldOut: TuningImages,
  setting: TuningSetting,
  state: TuningState,
  context: StageContext,
): Promise<HeldOutFigures> {
  const { signal } = context;
  const { untuned } = run;
  const spec = specInUse(run);
  const extractor = await openServed(spec, setting, state);
  const sums = { images: 0, loss: 0, correct: 0 };
  const classifier = classifierOf(state, setting.averageDecay);
  const measure = async (batch: ImageBatch): Promise<void> => {
    const embeddings = await embedWhole(extractor, batch.pixels, batch.positions.length);
    for (const [row, position] of batch.positions.entries()) {
      const own = embeddings.subarray(row * spec.dimension, (row + 1) * spec.dimension);
      const { loss, isCorrect } = measureRow(own, heldOut.labels[position] as number, classifier);
      sums.images += 1;
      sums.loss += loss;
      sums.correct += isCorrect ? 1 : 0;
    }
  };
  const source = openImages(untuned.dataset, heldOut.entries);
  try {
    const { read, probe } = source.files;
    const batches = new ImageBatches(untuned.side, imagesPerBatch);
    for await (const image of streamImages({
      ...{ entries: heldOut.entries, read, probe, signal },
      decode: { ...untuned.recipe.decode, side: untuned.side },
      window: windowBatches * imagesPerBatch,
    })) {
      if (!image.ok) throw lostImage(run, image.key);
      const full = batches.add(image);
      if (full !== undefined) await measure(full);
    }
    const rest = batches.rest();
    if (rest !== undefined) await measure(rest);
  } finally {
    source.close();
    await extractor.release();
  }
  return { images: sums.images, loss: sums.loss / sums.images, accuracy: sums.correct / sums.images };
}

/** What every tuned network is measured and served with. */
const measuringEngine: EngineName = "onnx";

/** A state of the network as it would be served. @param spec with the normalisation in use */
export async function openServed(
  spec: BackboneSpec,
  setting: TuningSetting,
  state: TuningState,
): Promise<FeatureExtractor> {
  const { side, threads } = setting;
  const { model } = compileLayers(modelOf(tunedLayers(setting, state)), { inputSize: spec.inputSize });
  const engine = await createEngine({ engine: measuringEngine, device: "cpu", threads });
  return engine.createExtractor({
    ...{ backbones: [{ spec, model, layers: null }], side, viewCount: 1 },
    ...{ colour: false, identityFirst: true },
  });
}

/** The embeddings of images as they are. @param pixels [imageCount, side, side, 3] */
export function embedWhole(
  extractor: FeatureExtractor,
  pixels: Uint8Array,
  imageCount: number,
): Promise<Float32Array> {
  const repeated = (values: readonly number[]): Float32Array =>
    Float32Array.from({ length: imageCount * values.length }, (_, i) => values[i % values.length] as number);
  const affine = repeated(affineMatrix(identityParameters));
  const colour = repeated(colourMatrix(identityParameters));
  return extractor.extract({ pixels, imageCount, affine, colour });
}

function measureRow(
  embedding: Float32Array,
  label: number,
  { kernel, bias }: Classifier,
): { readonly loss: number; readonly isCorrect: boolean } {
  const classCount = bias.length;
  const logits = Float64Array.from(bias);
  for (const [row, value] of embedding.entries())
    for (let column = 0; column < classCount; column += 1)
      logits[column]! += value * (kernel[row * classCount + column] as number);
  const most = Math.max(...logits);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - most), 0);
  return {
    loss: Math.log(sum) + most - (logits[label] as number),
    isCorrect: logits.indexOf(most) === label,
  };
}
