import type { JobPayload } from "@trommel/common";
import { TrommelError } from "@trommel/common";
import type { DeviceStageContext, ReduceStage, StageOutcome } from "../stages/context.js";
import { extract } from "../stages/extract.js";
import { measure } from "../stages/measure.js";
import { score } from "../stages/score.js";
import type { ReduceNote, ReduceRequest, ReduceThread } from "../threads/reduce-thread.js";

/** Sends a job to its stage: those that feed the device here, those that compute for long to their thread. */
export async function routeJob(
  payload: JobPayload,
  context: DeviceStageContext,
  reduce: ReduceThread,
): Promise<StageOutcome> {
  switch (payload.stage) {
    case "measure":
      return measure(payload.id, payload.shard, context);
    case "extract":
      return extract(payload.id, payload.shard, context);
    case "score":
      return score(payload.id, payload.shard, context);
    case "gram":
      return onReduceThread({ stage: "gram", id: payload.id, unit: payload.gram }, context, reduce);
    case "normalize":
    case "solve":
    case "train":
    case "bundle":
    case "close":
      return onReduceThread({ stage: payload.stage, id: payload.id, unit: 0 }, context, reduce);
    case "plan-measure":
    case "plan-run":
    case "plan-scoring":
      throw new TrommelError("internal", `a worker was given a ${payload.stage} job, which coordinators do`);
  }
}

async function onReduceThread(
  request: ReduceRequest & { readonly stage: ReduceStage },
  context: DeviceStageContext,
  reduce: ReduceThread,
): Promise<StageOutcome> {
  const onNote = (note: ReduceNote): void => {
    if (note.kind === "note") context.onNote(note.text);
    else context.onUnits(note.done, note.total);
  };
  return reduce.call("run", request, { signal: context.signal, onNote });
}
