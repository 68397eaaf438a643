import { openStore, resolveLocation, runKeys, type ObjectStore, type RunConfig } from "@trommel/common";
import { foldUnits, type Choice, type Estimate } from "@trommel/common/artefacts";
import { autoHeadOf } from "@trommel/common/recipe";
import { shardsPerGram } from "#common/jobs/pipeline";
import { choose } from "#gpu-worker/stages/choose";
import type { StageContext } from "#gpu-worker/stages/context";
import { divide } from "#gpu-worker/stages/divide";
import { fold } from "#gpu-worker/stages/fold";
import { readChoice } from "#gpu-worker/stages/inputs/choice";
import { readFoldSplit } from "#gpu-worker/stages/folding/fold-split";
import { gram } from "#gpu-worker/stages/gram";
import { readListing } from "#gpu-worker/stages/inputs/listing";
import { solve } from "#gpu-worker/stages/solve";
import { standardize } from "#gpu-worker/stages/standardize";
import { pino } from "pino";
import { removeStoredRun, writeStoredRun, type StoredRunOptions } from "./stored-run.js";
import { predictTest, type TestPredictions } from "./test-predictions.js";

/** What the run says of itself, and what its test part says of it. */
export interface Division {
  readonly seed: number;
  readonly classes: number;
  readonly images: number;
  readonly outOfFold: Figures;
  readonly test: (Figures & { readonly predictions: TestPredictions }) | null;
}

interface Figures {
  readonly accuracy: Estimate;
  readonly balancedAccuracy: Estimate;
  readonly logLoss: Estimate;
  readonly expectedCalibrationError: Estimate;
}

/** A stage's context without a queue: one thread, no follower. */
export const stageContext = (store: ObjectStore): StageContext => ({
  store,
  threads: 1,
  engine: "onnx",
  log: pino({ level: "silent" }),
  signal: new AbortController().signal,
  onImages: () => undefined,
  onNote: () => undefined,
  onUnits: () => undefined,
});

/** Takes a division of stored features through the stages of `head: auto`, as a worker would, and removes what they wrote. */
export async function measureDivision(options: StoredRunOptions): Promise<Division> {
  const config = await writeStoredRun(options);
  const store = openStore(resolveLocation(options.folder));
  const context = stageContext(store);
  try {
    await runHeadStages(config, context);
    const { choice, ensemble } = await readChoice(store, config.id);
    return {
      seed: options.seed,
      classes: choice.labels.length,
      images: choice.outOfFold.images,
      outOfFold: figuresOf(choice.outOfFold),
      test:
        choice.test === null
          ? null
          : { ...figuresOf(choice.test), predictions: await predictTest(config, ensemble, context) },
    };
  } finally {
    store.close();
    await removeStoredRun(options.folder, config, options.from);
  }
}

async function runHeadStages(config: RunConfig, context: StageContext): Promise<void> {
  const { id } = config;
  const { shards } = await readListing(context.store, runKeys(id).listing);
  for (let index = 0; index < Math.ceil(shards / shardsPerGram); index += 1) await gram(id, index, context);
  await solve(id, context);
  await divide(id, context);
  await standardize(id, context);
  const split = await readFoldSplit(context.store, id);
  for (const unit of foldUnits(autoHeadOf(config), split).keys()) await fold(id, unit, context);
  await choose(id, context);
}

const figuresOf = (of: Choice["outOfFold"]): Figures => {
  const { accuracy, balancedAccuracy, logLoss, expectedCalibrationError } = of;
  return { accuracy, balancedAccuracy, logLoss, expectedCalibrationError };
};
