import { messageOf, TrommelError } from "@trommel/common";
import { withTimeout } from "@trommel/common/waiting";

/** What `trommel doctor` looks at, in the order of its report. */
export const doctorChecks = [
  "node",
  "memory",
  "disk",
  "sharp",
  "onnxruntime",
  "redis",
  "redis-memory",
  "redis-persistence",
  "redis-latency",
  "store-write",
  "store-read",
  "store-listing",
  "store-conditional-write",
  "store-clock",
  "backbones",
  "coordinators",
  "workers",
  "versions",
] as const;
/** What a doctor looks at. */
export type DoctorCheck = (typeof doctorChecks)[number];

/** What a check found. */
export interface Finding {
  readonly check: DoctorCheck;
  /** `warning`: it works, and somebody should know; `skipped`: it could not be looked at, for a reason that is another finding. */
  readonly status: "ok" | "warning" | "failed" | "skipped";
  readonly found: string;
  /** What to do; null where there is nothing. */
  readonly advice: string | null;
}

export function ok(check: DoctorCheck, found: string): Finding {
  return { check, status: "ok", found, advice: null };
}

export function warning(check: DoctorCheck, found: string, advice: string): Finding {
  return { check, status: "warning", found, advice };
}

export function failed(check: DoctorCheck, found: string, advice: string): Finding {
  return { check, status: "failed", found, advice };
}

export function skipped(check: DoctorCheck, found: string): Finding {
  return { check, status: "skipped", found, advice: null };
}

/** An error as a finding: its last sentence says what to do. */
export function failedBy(check: DoctorCheck, thrown: unknown): Finding {
  const [, found = "", advice = ""] = /^(.*?)\. (?=[A-Z'])(.*)$/su.exec(messageOf(thrown)) ?? [];
  return found === "" ? failed(check, messageOf(thrown), "") : failed(check, found, advice);
}

/** What the checks share. */
export interface Limits {
  /** What one check may take. */
  readonly timeoutMs: number;
}

/** One check that ends in time, whatever it waits for. @returns what it found; what it threw, as a failure */
export async function bounded(
  check: DoctorCheck,
  { timeoutMs }: Limits,
  look: () => Promise<Finding>,
): Promise<Finding> {
  try {
    return await withTimeout({ timeoutMs, doing: `check ${check}` }, look());
  } catch (thrown) {
    if (thrown instanceof TrommelError && thrown.code === "timed-out")
      return failed(
        check,
        `no answer within ${timeoutMs} ms`,
        "See whether it is overloaded or out of reach",
      );
    return failedBy(check, thrown);
  }
}
