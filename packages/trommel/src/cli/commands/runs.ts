import { stageTable, TrommelError, type StopReason } from "@trommel/common";
import { printable } from "@trommel/common/printable";
import {
  cancelSubject,
  findSubject,
  readStatus,
  type RunStatus,
  type Subject,
} from "@trommel/coordinator/run-control/run-state";
import { listSubjects } from "@trommel/coordinator/run-control/list-subjects";
import { follow } from "../follow.js";
import { runSubject, showResult, type FollowFlags } from "../run-subject.js";
import { Session, type ClusterFlags, type GlobalFlags } from "../session.js";
import { exitCodes, type Terminal } from "../terminal.js";

/** `trommel status [run]` */
export async function status(
  terminal: Terminal,
  id: string | undefined,
  flags: GlobalFlags & FollowFlags,
): Promise<void> {
  const session = new Session(terminal, flags);
  try {
    if (id === undefined) await listAll(session);
    else await showOne(session, await findSubject(session.store, id), flags.follow ?? false);
  } finally {
    await session.close();
  }
}

async function listAll(session: Session): Promise<void> {
  const rows: (RunStatus | DamagedRun)[] = [];
  for (const { id, kind } of await listSubjects(session.store)) {
    try {
      const subject = await findSubject(session.store, id);
      rows.push(await readStatus(session.store, subject, await session.producerOf(subject)));
    } catch (thrown) {
      if (!(thrown instanceof TrommelError) || thrown.code !== "corrupt") throw thrown;
      const { code } = thrown;
      rows.push({ kind, id, phase: "damaged", error: { code, message: thrown.message, stage: "" } });
      session.terminal.exitCode = exitCodes.failed;
    }
  }
  for (const row of rows) session.say(row.phase === "damaged" ? describeDamaged(row) : describe(row));
  if (rows.length === 0) session.say(`no run in ${session.store.url} yet`);
  session.result({ runs: rows });
}

async function showOne(session: Session, subject: Subject, following: boolean): Promise<void> {
  const producer = await session.producerOf(subject);
  const now = await readStatus(session.store, subject, producer);
  if (following && now.phase === "running" && producer !== undefined) {
    const result = await follow({
      terminal: session.terminal,
      store: session.store,
      subject,
      producer,
      signal: session.terminal.interrupts(),
    });
    showResult(session, subject, result);
    return;
  }
  if (now.result !== undefined) {
    showResult(session, subject, now.result);
    return;
  }
  session.say(describe(now));
  let failed = 0;
  for (const stage of now.stages) {
    if (stage.total > 0)
      session.say(`  ${stage.stage.padEnd(9)} ${stage.done}/${stage.total} ${printable(stage.note)}`);
    if (stageTable[stage.stage].inLedger === true) failed += stage.failedImages;
  }
  if (failed > 0) session.say(`  ${failed} files failed; 'trommel errors ${now.id}' lists them`);
  if (now.error !== undefined) session.say(`  ${sayError(now.error)}`);
  session.result(now);
}

function sayError({ stage, message }: StopReason): string {
  return stage === "" ? message : `${stage} failed: ${message}`;
}

/** One whose own files cannot be read; the others are shown nevertheless. */
interface DamagedRun {
  readonly kind: Subject["kind"];
  readonly id: string;
  readonly phase: "damaged";
  readonly error: StopReason;
}

function describeDamaged({ id, kind, error }: DamagedRun): string {
  const folder = kind === "run" ? "runs" : "scorings";
  return `${id} (${kind}): damaged, ${error.message}. Give its command again under another name, or put ${folder}/${id} back from a copy`;
}

function describe(row: RunStatus): string {
  const failed = row.result?.ledger.failed ?? 0;
  const accuracy = row.result?.accuracy === undefined ? "" : `, accuracy ${row.result.accuracy.toFixed(4)}`;
  return `${row.id} (${row.kind}): ${row.phase}${accuracy}${failed === 0 ? "" : `, ${failed} files failed`}`;
}

/** `trommel cancel <run>` */
export async function cancel(terminal: Terminal, id: string, flags: GlobalFlags): Promise<void> {
  const session = new Session(terminal, flags);
  try {
    const subject = await findSubject(session.store, id);
    const producer = await session.producerOf(subject);
    const { phase } = await readStatus(session.store, subject, producer);
    if (phase === "complete") {
      throw new TrommelError("conflict", `failed to cancel ${id}: it is complete`);
    }
    await cancelSubject(session.store, subject, producer);
    session.say(`cancelled ${id}; what is done is kept. 'trommel resume ${id}' continues it`);
    session.result({ id, kind: subject.kind, phase: "cancelled" });
  } finally {
    await session.close();
  }
}

/** `trommel resume <run>` */
export async function resume(
  terminal: Terminal,
  id: string,
  flags: GlobalFlags & ClusterFlags & FollowFlags,
): Promise<void> {
  const session = new Session(terminal, flags);
  try {
    await runSubject(session, await findSubject(session.store, id), flags);
  } finally {
    await session.close();
  }
}
