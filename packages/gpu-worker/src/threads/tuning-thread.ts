import { openStore, runKeys, writeWithMarker, type Device, type EngineName } from "@trommel/common";
import type { RoundFigures } from "@trommel/common/artefacts";
import { TrommelError } from "@trommel/common/errors";
import type { TunedPart } from "../stages/context.js";
import { commitOnce } from "../stages/inputs/commit-once.js";
import { tuningSetting } from "../stages/tuning/network.js";
import { readCheckpoint } from "../stages/tuning/start-state.js";
import { readTuningRun } from "../stages/tuning/tuning-run.js";
import { chooseTuner, type ChosenTuner } from "../tuning/engine/choose-tuner.js";
import type { StepFigures, Tuner, TuningBatch } from "../tuning/engine/tuner.js";
import { stateOfReplica } from "../tuning/rounds/merge-replicas.js";
import { encodeState } from "../tuning/rounds/state-codec.js";
import { serveThread } from "../rpc/serve.js";

/**
 * The thread that tunes a network: a step blocks it, and so do the bytes of checkpoints, so nothing else happens here. It reads what a
 * replica starts from and writes what it has come to, so that neither passes between threads.
 */

export interface TuningThreadData {
  readonly storeUrl: string;
  readonly threads: number;
  readonly engine: EngineName;
  readonly device: Device;
}

export interface TuningRequests {
  readonly open: { readonly argument: TunedPart; readonly result: Pick<ChosenTuner, "notice"> };
  readonly step: {
    readonly argument: { readonly batch: TuningBatch; readonly learningRate: number };
    readonly result: StepFigures;
  };
  readonly commit: { readonly argument: RoundFigures["training"]; readonly result: null };
  readonly close: { readonly argument: null; readonly result: null };
}

interface Open {
  readonly part: TunedPart;
  readonly tuner: Tuner;
}

serveThread<TuningRequests, TuningThreadData>(({ storeUrl, threads, engine, device }) => {
  const store = openStore(storeUrl);
  let open: Open | undefined;
  const current = (): Open => {
    if (open !== undefined) return open;
    // A thread that died has been replaced by one that has no network.
    throw new TrommelError(
      "unavailable",
      "cannot continue the tuning: its thread has lost the network. Try again",
    );
  };
  const close = async (): Promise<void> => {
    const { tuner } = open ?? {};
    open = undefined;
    await tuner?.release();
  };
  return {
    open: async (part, { signal }) => {
      await close();
      const run = await readTuningRun(store, part.runId, signal);
      const setting = await tuningSetting(store, run, threads);
      const checkpoint = await readCheckpoint(store, run, setting, part.round);
      const { create, notice } = await chooseTuner(engine, device);
      open = { part, tuner: await create(setting, stateOfReplica(checkpoint, part.replica)) };
      return { value: { notice } };
    },
    step: async ({ batch, learningRate }) => ({ value: await current().tuner.step(batch, learningRate) }),
    commit: async (training) => {
      const { part, tuner } = current();
      const key = runKeys(part.runId).tuning.change(part.round, part.replica);
      await commitOnce(() => writeWithMarker(store, key, encodeState(tuner.state()), { training }));
      return { value: null };
    },
    close: async () => {
      await close();
      return { value: null };
    },
  };
});
