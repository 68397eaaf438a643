import { resolve } from "node:path";
import { openStore, resolveLocation } from "@trommel/common";
import { roundSpan } from "@trommel/common/artefacts";
import type { DeviceStageContext } from "#gpu-worker/stages/context";
import { KeptImages } from "#gpu-worker/image/read/kept-images";
import { SourceStores } from "#gpu-worker/stages/images/source-stores";
import { tuningSetting } from "#gpu-worker/stages/tuning/network";
import { eachBatch } from "#gpu-worker/stages/tuning/round-images";
import { readCheckpoint } from "#gpu-worker/stages/tuning/start-state";
import { stepRates } from "#gpu-worker/stages/tuning/step-rates";
import { readTuningImages } from "#gpu-worker/stages/tuning/tuning-images";
import { readTuningRun } from "#gpu-worker/stages/tuning/tuning-run";
import { chooseTuner } from "#gpu-worker/tuning/engine/choose-tuner";
import { stateOfReplica } from "#gpu-worker/tuning/rounds/merge-replicas";

/**
 * A process of its own that takes the steps of a run's first rounds once more, one replica's, from the artefacts that they started from,
 * and prints what it measured as JSON.
 */

export interface RoundsAlone {
  /** Folder of the store. */
  readonly store: string;
  readonly run: string;
  readonly rounds: number;
  readonly threads: number;
}

export interface RoundsMeasured {
  /** By step. */
  readonly losses: readonly number[];
  readonly stepSeconds: readonly number[];
  readonly peakMib: number;
  readonly trainedLayers: number;
  readonly notice: string | null;
}

const options = JSON.parse(process.argv[2] ?? "") as RoundsAlone;
const store = openStore(resolveLocation(resolve(options.store)));
const run = await readTuningRun(store, options.run);
const setting = await tuningSetting(store, run, options.threads);
const signal = new AbortController().signal;
const { tuned } = await readTuningImages(store, run, signal);
const { create, notice } = await chooseTuner("onnx", "cpu");
const tuner = await create(setting, stateOfReplica(await readCheckpoint(store, run, setting, 0), 0));
/** All that reading a round's images asks of a worker. */
const context = {
  device: { sessionCount: 1 },
  sources: new SourceStores(),
  keptImages: new KeptImages(0),
  onImages: () => undefined,
  signal,
} as unknown as DeviceStageContext;
const [losses, stepSeconds]: [number[], number[]] = [[], []];
for (let round = 0; round < options.rounds; round += 1) {
  const span = roundSpan(run.rounds, round);
  const rateAt = await stepRates(store, run, span);
  await eachBatch(run, tuned, { ...span, replica: 0 }, context, async (batch, step) => {
    const start = performance.now();
    const { loss } = await tuner.step(batch, rateAt(step));
    stepSeconds.push((performance.now() - start) / 1000);
    losses.push(loss);
  });
}
await tuner.release();
store.close();
const found: RoundsMeasured = {
  ...{ losses, stepSeconds, notice },
  peakMib: process.resourceUsage().maxRSS / 1024,
  trainedLayers: setting.trained.size,
};
process.stdout.write(`${JSON.stringify(found)}\n`);
