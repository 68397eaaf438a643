import type { FailureReason, ShardEntry, TrommelError } from "@trommel/common";

/** What one object's failed reads say about the object, if another try would not change it. */
interface SettledFailure {
  readonly reason: FailureReason;
  /** Depends only on the object and the store's answer. */
  readonly detail: string;
}

/** S3's answers about the bucket or the request, which every other object would get too. */
const ofTheStore: ReadonlySet<unknown> = new Set([
  "PermanentRedirect",
  "AuthorizationHeaderMalformed",
  "IllegalLocationConstraintException",
]);

/** The failure of an entry that is the damage of an archive; undefined for an image. */
export function damageOf({
  at,
}: ShardEntry): (SettledFailure & { readonly ok: false; readonly tries: number }) | undefined {
  if (at?.damaged === undefined) return undefined;
  const { offset, why } = at.damaged;
  return { ok: false, reason: "damaged-archive", detail: `at byte ${offset}: ${why}`, tries: 1 };
}

export function settledFailure(error: TrommelError): SettledFailure | undefined {
  const { s3Error, storageClass, archive, offset } = error.context;
  if (typeof archive === "string" && typeof offset === "number")
    return { reason: "damaged-archive", detail: `at byte ${offset} of its archive: ${archive}` };
  if (s3Error === "InvalidObjectState") {
    const named = typeof storageClass === "string" ? `the storage class ${storageClass}` : "an archive";
    return {
      reason: "archived",
      detail: `it is in ${named}, and has to be restored before it can be read (${s3Error})`,
    };
  }
  switch (error.code) {
    case "not-found":
      return { reason: "not-found", detail: "it was listed, and was gone when its turn came" };
    case "forbidden":
      return { reason: "forbidden", detail: `the store refused it when its turn came${answerOf(error)}` };
    case "changed":
      return { reason: "changed", detail: "it is not the object that was listed: its etag differs" };
    default:
  }
  if (isRefusal(error)) return { reason: "store-refused", detail: `the store refused it${answerOf(error)}` };
  if (error.code === "too-large") {
    return { reason: "too-large", detail: "it has more bytes than were listed, and than the recipe allows" };
  }
  return undefined;
}

/** Whether the store answered for good: not with "later" (408, 429), and not with an answer about all of its objects. */
function isRefusal({ code, context: { s3Error, status } }: TrommelError): boolean {
  if (typeof status !== "number" || code === "unavailable" || code === "store-full") return false;
  return status >= 300 && status < 500 && !ofTheStore.has(s3Error);
}

/**
 * The store's code and status; empty for a folder, whose errors have none. Not its message: that names roles, machines and
 * requests, which differ from worker to worker.
 */
function answerOf({ context: { s3Error, status } }: TrommelError): string {
  if (typeof s3Error !== "string" || typeof status !== "number") return "";
  return `: ${s3Error} (status ${status})`;
}
