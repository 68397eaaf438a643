import { failureReason, runKeys, TrommelError, type FailureReason } from "@trommel/common";
import type { RetryReasons } from "@trommel/common/artefacts/retry";
import { readListing } from "../../plan/stream-shards.js";
import { readFailures } from "../../run-control/read-failures.js";
import { resolveRunRetry } from "../../run-control/resolve-retry.js";
import { checkScoringRetry, countRetried, requestScoringRetry } from "../../run-control/retry-scoring.js";
import { findSubject, type Subject } from "../../run-control/run-state.js";
import { runSubject, type FollowFlags } from "../run-subject.js";
import { Session, type ClusterFlags, type GlobalFlags } from "../session.js";

type RetryFlags = GlobalFlags &
  ClusterFlags &
  FollowFlags & {
    readonly reason?: readonly FailureReason[];
    readonly run?: string;
    readonly output?: string;
  };

/** `trommel retry <run>` */
export async function retry(id: string, flags: RetryFlags): Promise<void> {
  const session = new Session(flags);
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

async function retryRun(
  session: Session,
  subject: Extract<Subject, { readonly kind: "run" }>,
  reasons: RetryReasons,
  flags: RetryFlags,
): Promise<void> {
  const { store } = session;
  const { complete, sums } = await readFailures(store, subject, 0);
  const listing = await readListing(store, runKeys(subject.id).listing);
  if (!complete && sums.shards !== listing?.shards) {
    throw new TrommelError(
      "conflict",
      `failed to try the failed files of ${subject.id} again: not all of its shards are done. 'trommel resume ${subject.id}' first brings it to its end`,
      { context: { id: subject.id } },
    );
  }
  if (countRetried(sums.failedByReason, reasons) === 0) {
    nothingFailed(session, subject, reasons);
    return;
  }
  const { run: id, output } = flags;
  const { config, claim } = await resolveRunRetry({ store, of: subject.config, reasons, id, output });
  await runSubject(session, { kind: "run", id: config.id, config }, flags, { claim });
}

function nothingFailed(session: Session, { id, kind }: Subject, reasons: RetryReasons): void {
  const why = reasons === null ? "" : ` for ${reasons.join(", ")}`;
  session.say(`${id}: no file failed${why}, so there is nothing to try again`);
  session.result({ id, kind, phase: "complete", retried: 0 });
}
