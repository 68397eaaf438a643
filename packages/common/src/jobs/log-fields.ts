import { unitOf, type JobPayload } from "./queues.js";

/** What every log line of a job carries. A trace that the job belongs to travels in its options (W3C trace context). */
export function logFieldsOf(
  job: {
    readonly id?: string | undefined;
    readonly opts: { readonly telemetry?: { readonly metadata?: string | undefined } | undefined };
  },
  payload: JobPayload,
): Readonly<Record<string, string | number | undefined>> {
  const trace = /"traceparent":"[0-9a-f]{2}-([0-9a-f]{32})-/.exec(job.opts.telemetry?.metadata ?? "")?.[1];
  const unit = unitOf(payload);
  return {
    ...{ job: job.id, run: payload.id, stage: payload.stage },
    ...("shard" in payload ? { shard: unit } : unit === undefined ? {} : { unit }),
    ...(trace === undefined ? {} : { trace }),
  };
}
