import { toTrommelError, TrommelError, type ObjectStore } from "@trommel/common";
import { withTimeout } from "@trommel/common/jobs/redis-connection";
import { interruptedCode, noteStopReason, stopReasonOf } from "@trommel/common/artefacts/runs/stop-reason";
import type { RunResult, RunStatus, Subject } from "@trommel/coordinator/run-control/run-state";
import { forgetCluster, noteCluster } from "@trommel/coordinator/run-control/cluster-note";
import { readResultOrFault, readStatus, startAttempt } from "@trommel/coordinator/run-control/run-state";
import { describeScores } from "./describe-scores.js";
import { follow } from "./follow.js";
import type { ClusterFlags, Session } from "./session.js";
import { exitCodes } from "./terminal.js";

/** A store that does not answer keeps no command from ending. */
const noteTimeoutMs = 5_000;

export interface FollowFlags {
  readonly follow?: boolean;
}

export interface RunStart {
  /** Writes what makes it a run; a command that finds no Redis or no device leaves nothing behind. */
  readonly claim?: () => Promise<void>;
  /** Started although it is finished: the claim makes it unfinished. */
  readonly again?: boolean;
}

/**
 * Brings a run to its end or into the queue: one that is finished is shown, one that is running is joined, any other
 * is claimed and started or continued. An embedded cluster lives as long as the command, so there the command always waits.
 */
export async function runSubject(
  session: Session,
  subject: Subject,
  flags: ClusterFlags & FollowFlags,
  start: RunStart = {},
): Promise<void> {
  const finished =
    start.again === true ? undefined : (await readResultOrFault(session.store, subject)).result;
  if (finished !== undefined) {
    const anew = subject.kind === "run" ? "another --run" : "another --output";
    session.say(
      `${subject.id} is complete already, and nothing was listed again; for what is new there, give ${anew}`,
    );
    showResult(session, subject, finished);
    tellNothingRead(session, finished);
    return;
  }
  if (flags.follow === false && session.redisUrl === undefined) {
    throw new TrommelError(
      "invalid-argument",
      "failed to leave the run to itself (--no-follow): without a Redis the command is the cluster, and ends with it. Give --redis, or leave --no-follow out",
    );
  }
  const interrupt = session.terminal.interrupts();
  if (session.redisUrl === undefined && (await joinEmbedded(session, subject, interrupt))) return;
  // Beneath the cluster on the stack: said when nothing can be done any more that would make it untrue.
  let ended: TrommelError | undefined;
  session.releases.add("error note", () => noteEnd(session.store, subject, ended));
  const { producer, cluster } = await session.producerOrCluster(flags);
  cluster?.check();
  await start.claim?.();
  if (cluster !== undefined) {
    await noteCluster(session.store, subject, cluster.redisUrl);
    session.releases.add("cluster note", () => forgetCluster(session.store, subject));
  }
  const status = await readStatus(session.store, subject, producer);
  const queue = async ({ attempt }: RunStatus): Promise<void> => {
    await startAttempt(session.store, subject, producer, attempt);
  };
  if (status.phase !== "running") await queue(status);
  session.log.info({ id: subject.id, joined: status.phase === "running" }, "queued");
  if (cluster === undefined && !(flags.follow ?? session.terminal.io.stderr.isTTY ?? false)) {
    session.say(`queued ${subject.id}; 'trommel status ${subject.id} --follow' watches it`);
    session.result({ id: subject.id, kind: subject.kind, phase: "running" });
    return;
  }
  const { store } = session;
  const following = follow({
    terminal: session.terminal,
    store,
    subject,
    producer,
    cluster,
    requeue: queue,
    signal: interrupt,
  });
  const result = await following.catch((thrown: unknown) => {
    // Without this command's cluster nobody works on it any more; another cluster goes on.
    if (cluster !== undefined) ended = toTrommelError(thrown);
    throw thrown;
  });
  showResult(session, subject, result);
  tellNothingRead(session, result);
}

/** A scoring of which no file could be read is complete and balances; a script must not take it for scores. */
function tellNothingRead(session: Session, { ledger }: RunResult): void {
  if (ledger.ok > 0) return;
  session.terminal.exitCode = exitCodes.nothingRead;
  session.say(`none of the ${ledger.listed} files could be read (exit code ${exitCodes.nothingRead})`);
}

/** Keeps in the store why a run stopped; where it failed, the worker that noticed has done so. A cancelled one has its mark. */
async function noteEnd(store: ObjectStore, subject: Subject, ended: TrommelError | undefined): Promise<void> {
  const interrupted = ended?.context["interrupted"];
  if (ended === undefined || (ended.code === "cancelled" && interrupted === undefined)) return;
  const error =
    interrupted === undefined
      ? stopReasonOf(ended, String(ended.context["stage"] ?? ""))
      : {
          code: interruptedCode,
          message: `its command was interrupted (${String(interrupted)}). 'trommel resume ${subject.id}' continues it`,
          stage: "",
        };
  const noting = readResultOrFault(store, subject).then(async ({ result }) => {
    if (result === undefined) await noteStopReason(store, subject, error);
  });
  await withTimeout(noting, noteTimeoutMs, "note why it stopped");
}

/** Joins another command's embedded cluster that works on the same run. @returns false where there is none */
async function joinEmbedded(session: Session, subject: Subject, signal: AbortSignal): Promise<boolean> {
  const producer = await session.producerOf(subject);
  if (producer === undefined) return false;
  session.say(`${subject.id} is being worked on by another command; following it`);
  showResult(
    session,
    subject,
    await follow({ terminal: session.terminal, store: session.store, subject, producer, signal }),
  );
  return true;
}

/** Prints a finished run or scoring. */
export function showResult(session: Session, subject: Subject, result: RunResult): void {
  const { ledger } = result;
  if (result.accuracy !== undefined) {
    const of = result.measured === "head-before-refit" ? " of the head before the refit" : "";
    session.say(
      `${subject.id}: validation accuracy ${result.accuracy.toFixed(4)}, macro F1 ${result.macroF1?.toFixed(4)}, log loss ${result.logLoss?.toFixed(4)}${of}`,
    );
  }
  if (result.extraction !== undefined) {
    const { extracted, reused } = result.extraction;
    session.say(`features: ${extracted} pictures extracted, ${reused} reused`);
  }
  session.say(
    `ledger: ${ledger.listed} listed = ${ledger.ok} ok + ${ledger.failed} failed + ${ledger.skipped} skipped`,
  );
  if (ledger.failed > 0)
    session.say(
      `'trommel errors ${subject.id}' lists what failed, 'trommel retry ${subject.id}' tries it again`,
    );
  for (const line of describeScores(result)) session.say(line);
  session.say(`${subject.kind === "run" ? "bundle" : "scores"}: ${result.location}`);
  if (subject.kind === "run") session.say(`report: ${result.location}/report.html`);
  session.result({ id: subject.id, kind: subject.kind, phase: "complete", ...result });
}
