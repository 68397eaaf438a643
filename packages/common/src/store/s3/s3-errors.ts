import { TrommelError, type ErrorCode } from "../../errors.js";
import { failureOf, isArchived, isFull, isOverload, type Failure } from "./s3-failure.js";

/** What the S3 store knows about a call when it fails. */
export interface S3Call {
  /** Reads "read s3://bucket/key". */
  readonly doing: string;
  readonly bucket: string;
  /** The endpoint without credentials, or "AWS S3". */
  readonly serverName: string;
}

interface Verdict {
  readonly code: ErrorCode;
  readonly because: string;
  readonly advice: string;
}

/** Turns whatever the SDK threw into one of ours. The original is not kept as it is: it may hold signed requests. */
export function s3Error(call: S3Call, thrown: unknown): TrommelError {
  if (thrown instanceof TrommelError) return thrown;
  const failure = failureOf(thrown);
  const { code, because, advice } = judge(call, failure);
  return new TrommelError(code, `cannot ${call.doing}: ${because}. ${advice}`, {
    // What came damaged once more may come whole when the job is tried again.
    ...(code === "corrupt" ? { retryable: true } : {}),
    context: {
      bucket: call.bucket,
      server: call.serverName,
      s3Error: failure.name,
      status: failure.status ?? null,
      ...(failure.storageClass === undefined ? {} : { storageClass: failure.storageClass }),
    },
    cause: new Error(`${failure.name}: ${failure.message}`),
  });
}

const credentialAdvice: Readonly<Record<string, string>> = {
  InvalidAccessKeyId: "Check AWS_ACCESS_KEY_ID (or the profile in AWS_PROFILE)",
  SignatureDoesNotMatch: "Check AWS_SECRET_ACCESS_KEY (or the profile in AWS_PROFILE)",
  ExpiredToken: "Renew AWS_SESSION_TOKEN: it has expired",
  InvalidToken: "Check AWS_SESSION_TOKEN: unset it where the keys are permanent ones",
  RequestTimeTooSkewed: "Set this machine's clock: it differs from the server's",
};

const wrongRegion = new Set([
  "PermanentRedirect",
  "AuthorizationHeaderMalformed",
  "IllegalLocationConstraintException",
]);

const unreachable: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ENOTFOUND: "its host name is not known",
  EAI_AGAIN: "its host name cannot be looked up now",
  EHOSTUNREACH: "its host cannot be reached",
  ENETUNREACH: "its network cannot be reached",
  ECONNRESET: "it closed the connection",
  EPIPE: "it closed the connection",
  ETIMEDOUT: "it does not answer in time",
};

function judge(call: S3Call, failure: Failure): Verdict {
  return (
    judgeConfiguration(failure) ??
    judgeAnswer(call, failure) ??
    judgeConnection(call, failure) ??
    unknown(failure)
  );
}

/** Why no request was sent or no connection was let stand, where another try would meet the same. */
export function refusalAt(failure: Failure): Verdict | undefined {
  return judgeConfiguration(failure) ?? judgeCertificate("the server", failure);
}

function judgeConfiguration({ name, message }: Failure): Verdict | undefined {
  if (name === "CredentialsProviderError" || name === "TokenProviderError") {
    const advice =
      "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; for a public bucket AWS_NO_SIGN_REQUEST with its name";
    return { code: "forbidden", because: "there are no credentials for S3", advice };
  }
  if (/region is missing/i.test(message)) {
    const advice = "Set AWS_REGION (us-east-1 where the server does not care)";
    return { code: "invalid-argument", because: "there is no region for S3", advice };
  }
  return undefined;
}

function judgeAnswer(call: S3Call, failure: Failure): Verdict | undefined {
  const { name, message, status } = failure;
  const server = call.serverName;
  if (name === "NoSuchBucket") {
    const because = `bucket '${call.bucket}' does not exist on ${server}`;
    return { code: "not-found", because, advice: "Check its name, or create it" };
  }
  if (name === "NoSuchKey" || name === "NotFound" || status === 404) {
    return { code: "not-found", because: "there is no such object", advice: "Check the key" };
  }
  if (wrongRegion.has(name) || status === 301) {
    const advice = "Set AWS_REGION to the bucket's region";
    return {
      code: "invalid-argument",
      because: `bucket '${call.bucket}' is in another region (${name})`,
      advice,
    };
  }
  if (isFull(failure)) {
    const advice = "Make room in the bucket, or raise its quota, and give the command again";
    return {
      code: "store-full",
      because: `${server} has no room left (${name}, status ${status ?? "none"})`,
      advice,
    };
  }
  if (isArchived(failure)) {
    const because = `the object is archived in the storage class ${failure.storageClass ?? "of its bucket"}`;
    return { code: "forbidden", because, advice: "Restore it, or copy it to a class that can be read" };
  }
  const credentials = credentialAdvice[name];
  if (credentials !== undefined || status === 403 || status === 401) {
    const advice =
      credentials ??
      `Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may do in '${call.bucket}'`;
    return {
      code: "forbidden",
      because: `${server} refuses it (${name}, status ${status ?? "none"})`,
      advice,
    };
  }
  const failed = status !== undefined && (status >= 500 || status === 408 || name === "RequestTimeout");
  if (failed || isOverload(failure)) {
    const because = `${server} answers ${status ?? "nothing"} (${name})`;
    return { code: "unavailable", because, advice: "Wait and try again, or look at the server" };
  }
  if (status === 413 || name === "EntityTooLarge") {
    return {
      code: "too-large",
      because: `${server} does not take an object of this size`,
      advice: "Raise its limit",
    };
  }
  if (/checksum mismatch/i.test(message) || /Digest$|Mismatch$|^IncompleteBody$/.test(name)) {
    return {
      code: "corrupt",
      because: "each time the body did not have the checksum sent with it",
      advice: "Try again, and look for what changes it on the way",
    };
  }
  if (status !== undefined && status < 300) {
    return {
      code: "corrupt",
      because: `the answer of ${server} cannot be read (${message})`,
      advice: "Try again, and check that the endpoint is an S3 server",
    };
  }
  return undefined;
}

function judgeConnection(call: S3Call, failure: Failure): Verdict | undefined {
  const { name, message, systemCode } = failure;
  const timedOut = name === "TimeoutError" ? "it does not answer in time" : undefined;
  const closed = /aborted|premature close|socket hang up/i.test(message)
    ? "it closed the connection"
    : undefined;
  // The code goes first: the SDK calls a connection that was reset a TimeoutError too.
  const because = (systemCode === undefined ? undefined : unreachable[systemCode]) ?? timedOut ?? closed;
  if (because !== undefined) {
    const advice = "Check AWS_ENDPOINT_URL_S3 (or AWS_ENDPOINT_URL) and the network";
    return { code: "unavailable", because: `cannot reach ${call.serverName}: ${because}`, advice };
  }
  return judgeCertificate(call.serverName, failure);
}

function judgeCertificate(server: string, { systemCode }: Failure): Verdict | undefined {
  if (systemCode === undefined || !/CERT|TLS|SSL|SELF_SIGNED|VERIFY/.test(systemCode)) return undefined;
  const advice = "Name its authority in NODE_EXTRA_CA_CERTS, or check whether the endpoint speaks https";
  return {
    code: "forbidden",
    because: `the TLS certificate of ${server} is refused (${systemCode})`,
    advice,
  };
}

function unknown({ name, message, status }: Failure): Verdict {
  if (status === undefined) {
    const advice = "Try again; check AWS_ENDPOINT_URL_S3 (or AWS_ENDPOINT_URL) and the network";
    return { code: "unavailable", because: `${name}: ${message}`, advice };
  }
  return {
    code: "unsupported",
    because: `${name}: ${message} (status ${status})`,
    advice: "Check that the endpoint is an S3 server and look at its log",
  };
}
