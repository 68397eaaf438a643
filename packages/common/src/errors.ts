/**
 * One error base for every part of Trommel.
 *
 * A message reads "cannot X: why. Do Y": what failed with its value, what is legal, what to do next.
 * `code` is stable and part of the contract; `retryable` says whether the same call may succeed later
 * without anybody changing anything.
 */

/** Every code, with its default for `retryable`. */
export const errorCodes = {
  /** A flag, recipe field, URL or combination of them is not legal. */
  "invalid-argument": false,
  /** A named thing (backbone, run, bundle, bucket, key) does not exist. */
  "not-found": false,
  /** The server knows us and says no, or does not accept the credentials. */
  forbidden: false,
  /** A server (Redis, S3) cannot be reached or answers with 5xx. */
  unavailable: true,
  /** A bounded wait ended. */
  "timed-out": true,
  /** A name is taken by something with other content. */
  conflict: false,
  /** An object is not the one that was listed. */
  changed: false,
  /** Bytes do not have the form, length or hash that was promised. */
  corrupt: false,
  /** Larger than a stated bound. */
  "too-large": false,
  /** A format, layer, operator or server feature that we do not handle. */
  unsupported: false,
  /** A device, provider or engine that was asked for is not on this machine. */
  "device-unavailable": false,
  /** Two implementations disagree by more than the stated tolerance. */
  "parity-failed": false,
  /** An input artefact of a stage has no marker. */
  "missing-input": false,
  /** The dataset cannot be trained on as it is. */
  "bad-dataset": false,
  /** More images of a scoring failed than `--max-failures` allows. It can be resumed with another limit. */
  "too-many-failures": false,
  /** A person cancelled the run. */
  cancelled: false,
  /** The disk, quota or bucket that is written to has no room left. Somebody has to make some. */
  "store-full": true,
  /** The machine lacks memory or handles, or Redis has no room left. */
  exhausted: true,
  /** A broken invariant of ours. */
  internal: false,
} as const;

export type ErrorCode = keyof typeof errorCodes;

export type ErrorContext = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

export interface TrommelErrorOptions {
  /** @default the code's own default, see {@link errorCodes} */
  readonly retryable?: boolean;
  /** Values for machines: keys, sizes, hashes. Never a credential. */
  readonly context?: ErrorContext;
  readonly cause?: unknown;
}

export class TrommelError extends Error {
  override readonly name = "TrommelError";
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly context: ErrorContext;

  constructor(code: ErrorCode, message: string, options: TrommelErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? errorCodes[code];
    this.context = options.context ?? {};
  }

  /** The form that goes into `--json` output, job failures and thread messages. */
  toJSON(): { code: ErrorCode; message: string; retryable: boolean; context: ErrorContext } {
    return { code: this.code, message: this.message, retryable: this.retryable, context: this.context };
  }
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/**
 * Wraps whatever was thrown; a {@link TrommelError} passes, a full Redis is `exhausted`, what its user may not do is
 * `forbidden`, the rest becomes `internal`.
 */
export function toTrommelError(thrown: unknown): TrommelError {
  if (thrown instanceof TrommelError) return thrown;
  if (isRedisFull(thrown)) {
    return new TrommelError(
      "exhausted",
      `cannot write to Redis: ${messageOf(thrown)}. Give it more memory (maxmemory), or wait until jobs are done`,
      { cause: thrown },
    );
  }
  if (isRedisRefusal(thrown)) {
    // A job is tried again: a refusal that stays ends the process that met it.
    return new TrommelError(
      "forbidden",
      `cannot use Redis: ${messageOf(thrown)}. Check --redis or TROMMEL_REDIS_URL and the rights of its user`,
      { cause: thrown, retryable: true },
    );
  }
  return new TrommelError("internal", messageOf(thrown), { cause: thrown });
}

/** Whether a write failed because Redis has reached its `maxmemory`; reads and removals go on then. */
export function isRedisFull(thrown: unknown): boolean {
  return hasAnswered(thrown, /\bOOM command not allowed/);
}

/** Redis' words for what it will not do later either: login, rights, a replica, a cluster, a database, a command that it lacks. */
const refusal =
  /(^|-|: )(NOPERM|NOAUTH|WRONGPASS|READONLY|MOVED|CROSSSLOT) |The user executing the script can't |ACL failure in script|^ERR (DB index is out of range|SELECT is not allowed|invalid password|unknown command)|script tried accessing undeclared key/;

/** Whether Redis answered, and refused for a reason that another try does not change. */
export function isRedisRefusal(thrown: unknown): boolean {
  return hasAnswered(thrown, refusal);
}

/** Redis' words for what it does not do now, though it answers; repeating a command at once makes it no sooner. */
const notNow = /(^|-|: )(MISCONF|NOREPLICAS|MASTERDOWN|LOADING|BUSY) /;

export function isRedisBusy(thrown: unknown): boolean {
  return hasAnswered(thrown, notNow);
}

function hasAnswered(thrown: unknown, words: RegExp): boolean {
  if (words.test(messageOf(thrown))) return true;
  // A discarded transaction reports EXECABORT only; ioredis keeps the errors of its commands separately.
  const met: unknown = thrown instanceof Error && "previousErrors" in thrown ? thrown.previousErrors : [];
  return Array.isArray(met) && met.some((each) => hasAnswered(each, words));
}
