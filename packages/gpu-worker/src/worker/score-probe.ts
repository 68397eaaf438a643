import { TrommelError } from "@trommel/common";
import { scoreProbes, type ProbeAnswer, type ScoreTimes } from "@trommel/common/jobs";
import type { Job } from "bullmq";
import type { WorkerContext } from "../stages/context.js";
import { measureScoring } from "../stages/scoring/measure-scoring.js";
import { answerProbe } from "./answer-probe.js";

/** Answers how long images take to be scored here. @param order as a stage's context has it */
export async function answerScoreProbe(
  job: Job,
  token: string | undefined,
  options: WorkerContext & { readonly shutdown: AbortSignal },
  order: number,
): Promise<ProbeAnswer<ScoreTimes>> {
  return answerProbe(scoreProbes, job, token, options, {
    measure: (probe) => measureScoring(probe, { ...options, order, signal: options.shutdown }),
    died: (deaths, { entries }) =>
      new TrommelError(
        "exhausted",
        `cannot measure how fast images are scored: ${deaths} times the worker that tried ${entries.length} of them died or was not heard of for seconds. See in its log and the kernel's whether memory ran out, and give the workers more`,
      ),
  });
}
