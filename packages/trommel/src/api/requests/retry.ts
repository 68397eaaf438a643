import {
  canonicalJson,
  failureReason,
  TrommelError,
  type FailureReason,
  type RunConfig,
} from "@trommel/common";
import type { RetryReasons } from "@trommel/common/artefacts";
import { resolveExport } from "@trommel/coordinator/resolve";
import {
  checkScoringRetry,
  countRetried,
  findRunConfig,
  lastOfChain,
  readTried,
  requestScoringRetry,
  resolveRunRetry,
} from "@trommel/coordinator/retry";
import type { Subject } from "@trommel/coordinator/run-control";
import type { Connections } from "../connections.js";
import { pathFrom } from "../options.js";

/** What tries a run's failed files again, resolved and not yet written. */
interface ResolvedRetry {
  /** The run whose failed files were looked at: the last one of those that tried them again. */
  readonly of: string;
  /** Undefined where none failed. */
  readonly begin?: { readonly subject: Subject; readonly claim?: () => Promise<void> };
}

/** In the closed list's order and each once, so that however they are asked for they are the same request. */
function reasonsOf(asked: readonly FailureReason[] | undefined): RetryReasons {
  return asked === undefined ? null : failureReason.options.filter((reason) => asked.includes(reason));
}

/** @returns no `claim` where no file failed */
export async function retryScoring(
  { store }: Connections,
  subject: Subject,
  asked: readonly FailureReason[] | undefined,
): Promise<{ readonly claim?: () => Promise<void> }> {
  if (subject.kind !== "scoring")
    throw new TrommelError("internal", `cannot retry ${subject.id} as a scoring: it is a run`);
  const reasons = reasonsOf(asked);
  if ((await checkScoringRetry(store, subject, reasons)) === 0) return {};
  return { claim: () => requestScoringRetry(store, subject, reasons) };
}

/**
 * The last of the runs that have tried a run's files again counts: it is resumed where it is unfinished, else the files that
 * failed in it are tried again, as the next one.
 */
export async function retryRun(
  { store, options: { folder, notice } }: Connections,
  subject: Subject,
  options: {
    readonly reasons?: readonly FailureReason[] | undefined;
    readonly id?: string | undefined;
    readonly output?: string | undefined;
  },
): Promise<ResolvedRetry> {
  if (subject.kind !== "run")
    throw new TrommelError("internal", `cannot retry ${subject.id} as a run: it is a scoring`);
  const { config: first } = subject;
  const reasons = reasonsOf(options.reasons);
  const { id } = options;
  const output = options.output === undefined ? undefined : pathFrom(folder, options.output);
  const named = id === undefined ? undefined : await findRunConfig(store, id);
  if (named?.retryOf !== undefined) {
    const of = (await findRunConfig(store, named.retryOf.run)) ?? first;
    return toBegin(of.id, await resolveRunRetry({ store, of, reasons, id, output }));
  }
  const last = await lastOfChain(store, first);
  const { failures, isTried, isOver } = await readTried(store, last);
  if (last.id !== first.id && !isOver) {
    checkSameRetry(last, { reasons, id, output, storeUrl: store.url });
    notice(
      `${last.id} tries the failed files of ${last.retryOf?.run ?? first.id} again and is not finished; it continues`,
    );
    return toBegin(last.id, { config: last });
  }
  if (!isTried) throw unfinished(first.id, last.id, "not all of its shards are done");
  if (countRetried(failures.sums.failedByReason, reasons) === 0) return { of: last.id };
  const resolved = await resolveRunRetry({ store, of: last, reasons, id, output });
  if (last.id !== first.id) notice(`${resolved.config.id} tries the files again that failed in ${last.id}`);
  return toBegin(last.id, resolved);
}

function toBegin(
  of: string,
  { config, claim }: { readonly config: RunConfig; readonly claim?: () => Promise<void> },
): ResolvedRetry {
  const subject = { kind: "run", id: config.id, config } as const;
  return { of, begin: { subject, ...(claim === undefined ? {} : { claim }) } };
}

/** @throws TrommelError `conflict` where another retry is asked for than the one that is under way */
function checkSameRetry(
  config: RunConfig,
  asked: {
    readonly reasons: RetryReasons;
    readonly id: string | undefined;
    readonly output: string | undefined;
    readonly storeUrl: string;
  },
): void {
  const { run = config.id, reasons = null } = config.retryOf ?? {};
  const { output, storeUrl } = asked;
  const exportsElsewhere =
    output !== undefined && resolveExport({ output, dataset: config.dataset, storeUrl }) !== config.export;
  if (asked.id === undefined && !exportsElsewhere && canonicalJson(reasons) === canonicalJson(asked.reasons))
    return;
  const why = reasons === null ? "whatever the reason" : reasons.join(", ");
  throw unfinished(run, config.id, `they are being tried again by ${config.id} (${why})`);
}

function unfinished(id: string, last: string, why: string): TrommelError {
  return new TrommelError(
    "conflict",
    `cannot try the failed files of ${id} again: ${why}. ` +
      `'trommel resume ${last}' first brings it to its end, 'trommel errors ${last}' lists what has failed so far`,
    { context: { id: last } },
  );
}
