import { openStore, runKeys, writeWithMarker, type Device, type EngineName } from "@trommel/common";
import type { RoundFigures } from "@trommel/common/artefacts";
import type { StepProbe, StepTimes } from "@trommel/common/jobs";
import type { OpenTuner, TunedPart } from "../stages/context.js";
import { commitOnce } from "../stages/inputs/commit-once.js";
import { measureStep } from "../stages/tuning/measure-step.js";
import { tuningSetting } from "../stages/tuning/network.js";
import { readCheckpoint } from "../stages/tuning/start-state.js";
import { readTuningRun } from "../stages/tuning/tuning-run.js";
import { smallGroupsNotice } from "../tuning/layers/trained-weights.js";
import { chooseTuner } from "../tuning/engine/choose-tuner.js";
import type { StepFigures, TuningBatch } from "../tuning/engine/tuner.js";
import { stateOfReplica } from "../tuning/rounds/merge-replicas.js";
import { SoleTuner } from "../tuning/rounds/sole-tuner.js";
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
  readonly open: {
    readonly argument: TunedPart;
    readonly result: Pick<OpenTuner, "notices"> & { readonly ticket: number };
  };
  readonly step: {
    readonly argument: {
      readonly ticket: number;
      readonly batch: TuningBatch;
      readonly learningRate: number;
    };
    readonly result: StepFigures;
  };
  readonly commit: {
    readonly argument: { readonly ticket: number; readonly training: RoundFigures["training"] };
    readonly result: null;
  };
  /** By its ticket. */
  readonly close: { readonly argument: number; readonly result: null };
  readonly measure: { readonly argument: StepProbe; readonly result: Omit<StepTimes, "drainMs"> };
}

serveThread<TuningRequests, TuningThreadData>(({ storeUrl, threads, engine, device }) => {
  const store = openStore(storeUrl);
  const sole = new SoleTuner<TunedPart>();
  return {
    open: async (part) => {
      const { create, notice } = await chooseTuner(engine, device);
      const notices = [notice];
      const ticket = await sole.open(part, async () => {
        const run = await readTuningRun(store, part.runId);
        const setting = await tuningSetting(store, run, threads);
        if (part.round === 0)
          notices.push(smallGroupsNotice(setting.cut.layers, setting.trained, setting.norm));
        const checkpoint = await readCheckpoint(store, run, setting, part.round);
        return create(setting, stateOfReplica(checkpoint, part.replica));
      });
      return { value: { ticket, notices: notices.filter((of) => of !== null) } };
    },
    step: async ({ ticket, batch, learningRate }) => ({
      value: await sole.use(ticket, (tuner) => tuner.step(batch, learningRate)),
    }),
    commit: async ({ ticket, training }) => {
      await sole.use(ticket, async (tuner, part) => {
        const key = runKeys(part.runId).tuning.change(part.round, part.replica);
        await commitOnce(() => writeWithMarker(store, key, encodeState(tuner.state()), { training }));
      });
      return { value: null };
    },
    close: async (ticket) => {
      await sole.close(ticket);
      return { value: null };
    },
    measure: async (probe) => {
      const { create } = await chooseTuner(engine, device);
      return { value: await measureStep(store, probe, { threads, create }) };
    },
  };
});
