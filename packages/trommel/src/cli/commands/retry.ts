import {
  canonicalJson,
  failureReason,
  TrommelError,
  type FailureReason,
  type RunConfig,
} from "@trommel/common";
import type { RetryReasons } from "@trommel/common/artefacts/shards/retry";
import { resolveExport } from "@trommel/coordinator/resolve/resolve-export";
import { resolveRunRetry } from "@trommel/coordinator/retry/resolve-retry";
import { findRunConfig, lastOfChain, readTried } from "@trommel/coordinator/retry/retry-chain";
import {
  checkScoringRetry,
  countRetried,
  requestScoringRetry,
} from "@trommel/coordinator/retry/retry-scoring";
import { findSubject, type Subject } from "@trommel/coordinator/run-control/run-state";
import { runSubject, type FollowFlags } from "../run-subject.js";
import { Session, type ClusterFlags, type GlobalFlags } from "../session.js";
import type { Terminal } from "../terminal.js";

type RetryFlags = GlobalFlags &
  ClusterFlags &
  FollowFlags & {
    readonly reason?: readonly FailureReason[];
    readonly run?: string;
    readonly output?: string;
  };

/** `trommel retry <run>` */
export async function retry(terminal: Terminal, id: string, flags: RetryFlags): Promise<void> {
  const session = new Session(terminal, flags);
  try {
    const subject = await findSubject(session.store, id);
    // In the closed list's order and each once, so that however they are asked for they are the same request.
    const reasons =
      flags.reason === undefined
        ? null
        : failureReason.options.filter((reason) => flags.reason?.includes(reason));
    if (subject.kind === "run") await retryRun(session, subject, reasons, flags);
    else await retryScoring(session, subject, reasons, flags);
  } finally {
    await session.close();
  }
}

async function retryScoring(
  session: Session,
  subject: Extract<Subject, { readonly kind: "scoring" }>,
  reasons: RetryReasons,
  flags: RetryFlags,
): Promise<void> {
  const given = (["run", "output"] as const).filter((name) => flags[name] !== undefined);
  if (given.length > 0) {
    throw new TrommelError(
      "invalid-argument",
      `failed to try ${subject.id} again with ${given.map((name) => `--${name}`).join(", ")}: the files of a scoring are tried again in place. Leave it out`,
    );
  }
  const { store } = session;
  if ((await checkScoringRetry(store, subject, reasons)) === 0) nothingFailed(session, subject, reasons);
  else
    await runSubject(session, subject, flags, {
      claim: () => requestScoringRetry(store, subject, reasons),
      again: true,
    });
}

/**
 * Of the runs that have tried a run's files again the last one counts: it is resumed where it is unfinished, else the files
 * that failed in it are tried again, as the next one.
 */
async function retryRun(
  session: Session,
  { config: first }: Extract<Subject, { readonly kind: "run" }>,
  reasons: RetryReasons,
  flags: RetryFlags,
): Promise<void> {
  const { store } = session;
  const { run: id, output } = flags;
  const named = id === undefined ? undefined : await findRunConfig(store, id);
  if (named?.retryOf !== undefined) {
    const of = (await findRunConfig(store, named.retryOf.run)) ?? first;
    const { config, claim } = await resolveRunRetry({ store, of, reasons, id, output });
    await runSubject(session, { kind: "run", id: config.id, config }, flags, { claim });
    return;
  }
  const last = await lastOfChain(store, first);
  const { failures, isTried, isOver } = await readTried(store, last);
  if (last.id !== first.id && !isOver) {
    await resumeRetry(session, last, reasons, flags);
    return;
  }
  if (!isTried) throw unfinished(first.id, last.id, "not all of its shards are done");
  if (countRetried(failures.sums.failedByReason, reasons) === 0) {
    nothingFailed(session, { kind: "run", id: last.id }, reasons);
    return;
  }
  const { config, claim } = await resolveRunRetry({ store, of: last, reasons, id, output });
  if (last.id !== first.id) session.say(`${config.id} tries the files again that failed in ${last.id}`);
  await runSubject(session, { kind: "run", id: config.id, config }, flags, { claim });
}

async function resumeRetry(
  session: Session,
  config: RunConfig,
  reasons: RetryReasons,
  flags: RetryFlags,
): Promise<void> {
  const { run = config.id, reasons: asked = null } = config.retryOf ?? {};
  const { output } = flags;
  const exportsElsewhere =
    output !== undefined &&
    resolveExport({ output, dataset: config.dataset, storeUrl: session.store.url }) !== config.export;
  if (flags.run !== undefined || exportsElsewhere || canonicalJson(asked) !== canonicalJson(reasons)) {
    const why = asked === null ? "whatever the reason" : asked.join(", ");
    throw unfinished(run, config.id, `they are being tried again by ${config.id} (${why})`);
  }
  session.say(`${config.id} tries the failed files of ${run} again and is not finished; it goes on`);
  await runSubject(session, { kind: "run", id: config.id, config }, flags);
}

function unfinished(id: string, last: string, why: string): TrommelError {
  return new TrommelError(
    "conflict",
    `failed to try the failed files of ${id} again: ${why}. ` +
      `'trommel resume ${last}' first brings it to its end, 'trommel errors ${last}' lists what has failed so far`,
    { context: { id: last } },
  );
}

function nothingFailed(
  session: Session,
  { id, kind }: Pick<Subject, "id" | "kind">,
  reasons: RetryReasons,
): void {
  const why = reasons === null ? "" : ` for ${reasons.join(", ")}`;
  session.say(`${id}: no file failed${why}, so there is nothing to try again`);
  session.result({ id, kind, phase: "complete", retried: 0 });
}
