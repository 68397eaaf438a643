/** What an S3 server answered, taken from whatever the SDK threw, and what kind of answer it is. */

/** The parts of an SDK or system error that are safe to repeat: never its request, headers or response fields. */
export interface Failure {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
  readonly systemCode: string | undefined;
  /** The storage class of an object that has to be restored before it can be read, with its tier if the answer names one. */
  readonly storageClass: string | undefined;
}

export function failureOf(thrown: unknown): Failure {
  const error = (thrown ?? {}) as {
    name?: unknown;
    message?: unknown;
    code?: unknown;
    Code?: unknown;
    StorageClass?: unknown;
    AccessTier?: unknown;
    $metadata?: { httpStatusCode?: number };
    $response?: { statusCode?: unknown };
  };
  const answered = error.$metadata?.httpStatusCode ?? error.$response?.statusCode;
  const named = [error.Code, error.name].find((name) => typeof name === "string" && name !== "Error");
  return {
    name: typeof named === "string" ? named : "Error",
    message: typeof error.message === "string" ? error.message : String(thrown),
    status: typeof answered === "number" ? answered : undefined,
    systemCode: typeof error.code === "string" ? error.code : undefined,
    storageClass: storageClassOf(error.StorageClass, error.AccessTier),
  };
}

function storageClassOf(storageClass: unknown, tier: unknown): string | undefined {
  if (typeof storageClass !== "string" || storageClass === "") return undefined;
  return typeof tier === "string" && tier !== "" ? `${storageClass} (${tier})` : storageClass;
}

/** Whether the object is archived: it is listed, and has to be restored before it can be read. */
export function isArchived({ name }: Failure): boolean {
  return name === "InvalidObjectState";
}

const overloads = new Set([
  "SlowDown",
  "SlowDownRead",
  "SlowDownWrite",
  "ServiceUnavailable",
  "Throttling",
  "ThrottlingException",
  "RequestLimitExceeded",
  "TooManyRequests",
  "TooManyRequestsException",
  "BandwidthLimitExceeded",
]);

/** Whether the server asks for fewer requests. */
export function isOverload({ name, status }: Failure): boolean {
  return overloads.has(name) || status === 429 || status === 503;
}

/** Codes of several servers (Ceph, MinIO, Garage, R2) for a bucket, user or disk without room. */
const fullNames = new Set([
  "QuotaExceeded",
  "InsufficientStorage",
  "InsufficientCapacity",
  "StorageFull",
  "XMinioStorageFull",
  "XMinioAdminBucketQuotaExceeded",
  "NoSpaceLeft",
]);

/** Whether the server has no room left: that does not pass within seconds. */
export function isFull({ name, status }: Failure): boolean {
  return fullNames.has(name) || status === 507;
}

/** Signals to the caller, who words the error, that a body passed its bound. */
export class TooLong extends Error {
  override readonly name = "TooLong";
  constructor(readonly sizeBytes: number) {
    super(`the body has ${sizeBytes} bytes or more`);
  }
}

/** Signals to the caller, who words the error, that the object is not the one with the etag that was asked for. */
export class OtherObject extends Error {
  override readonly name = "OtherObject";
  constructor(
    readonly asked: string,
    readonly found: string,
  ) {
    super(`the object has the etag ${found}`);
  }
}
