import type { ScoreProbe, ScoreTimes } from "@trommel/common/jobs";
import type { DeviceStageContext, WorkerContext } from "../context.js";
import { admitModel } from "../golden/admit-model.js";
import { runBatches } from "../images/run-batches.js";
import { readBundleManifest } from "../inputs/scoring.js";
import { loadClassifier, modelKeyOf } from "./load-classifier.js";

/** What is not done by then does not count. */
const measuredMsAtMost = 20_000;

/**
 * Scores some images as a shard's are, and drops the scores. The rate is that after the first batch, so that a model that is loaded and
 * batches that begin to overlap do not count for it. Nothing is written.
 * @throws TrommelError as the scoring itself would: `parity-failed` where this worker gives other probabilities than the bundle says
 */
export async function measureScoring(
  { source, bundle, entries }: Pick<ScoreProbe, "source" | "bundle" | "entries">,
  context: WorkerContext & Pick<DeviceStageContext, "signal" | "order">,
): Promise<ScoreTimes> {
  const { device } = context;
  const startMs = performance.now();
  const manifest = await readBundleManifest({ bundle });
  const modelKey = modelKeyOf("model", { bundle });
  await device.ensureClassifier(modelKey, () => loadClassifier({ bundle }, manifest, context));
  await admitModel(modelKey, { bundle }, manifest, context);
  const loadedMs = performance.now();
  const ended: { readonly atMs: number; readonly images: number }[] = [];
  const late = AbortSignal.timeout(measuredMsAtMost);
  const { side, decode, decodeVersion } = manifest.input;
  let failed = 0;
  try {
    const without = await runBatches({
      ...{ entries, source },
      decode: { ...decode, side, decodeVersion },
      batchSize: context.viewsPerBatch,
      context: {
        ...context,
        signal: AbortSignal.any([context.signal, late]),
        ...{ trial: undefined, claimFeature: () => Promise.resolve(true) },
        ...{ onImages: ignore, onNote: ignore, onUnits: ignore },
      },
      run: async ({ pixels, positions }) => {
        await device.classify(modelKey, pixels, positions.length, context.order);
        ended.push({ atMs: performance.now(), images: positions.length });
      },
    });
    failed = without.length;
  } catch (thrown) {
    if (!late.aborted || context.signal.aborted || ended.length === 0) throw thrown;
  }
  const scored = ended.reduce((sum, { images }) => sum + images, 0);
  const images = scored + failed;
  const [first, last] = [ended[0], ended.at(-1)];
  if (first === undefined || last === undefined || first === last) {
    // One batch, or no image that can be read.
    const imageMs = (performance.now() - loadedMs) / images;
    return { startMs: loadedMs - startMs, imageMs, images };
  }
  const imageMs = (last.atMs - first.atMs) / (images - first.images);
  return { startMs: Math.max(0, first.atMs - startMs - first.images * imageMs), imageMs, images };
}

function ignore(): void {}
