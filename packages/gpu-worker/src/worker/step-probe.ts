import { TrommelError, type ObjectStore } from "@trommel/common";
import { stepProbes, type ProbeAnswer, type StepTimes } from "@trommel/common/jobs";
import type { Job } from "bullmq";
import type { StageTuner } from "../stages/context.js";
import { answerProbe } from "./answer-probe.js";

/** Answers how long a step of tuning takes here. */
export async function answerStepProbe(
  job: Job,
  token: string | undefined,
  options: {
    readonly store: ObjectStore;
    readonly tuner: StageTuner;
    readonly drainMs: number | null;
    readonly shutdown: AbortSignal;
  },
): Promise<ProbeAnswer<StepTimes>> {
  const { tuner, drainMs } = options;
  return answerProbe(stepProbes, job, token, options, {
    measure: async (probe) => ({ ...(await tuner.measure(probe)), drainMs }),
    died: (deaths, { tune }) =>
      new TrommelError(
        "exhausted",
        `cannot take a step of tuning: ${deaths} times the worker that tried died or was not heard of for seconds. See in its log and the kernel's whether memory ran out, and lower tune.batchSize, which is ${tune.batchSize}, or give the workers more memory`,
      ),
  });
}
