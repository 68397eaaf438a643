import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { printable, stageTable } from "../../index.js";
import type { StopReason, Work } from "../../index.js";
import { counted } from "../describe/counted.js";
import { steeringOf, type SteeringFlags } from "../flags/shared-flags.js";
import { followToEnd, isDetached, showResult, showWork, type FollowFlags } from "../follow.js";
import { withInterrupts, withTrommel, type ClusterFlags, type GlobalFlags } from "../handle.js";
import { describeRound, isRun } from "../round-lines.js";
import { describeStages, statusTable } from "../status-table.js";
import { exitCodes, type Terminal } from "../terminal.js";

/** `trommel status [id]` */
export async function status(
  terminal: Terminal,
  id: string | undefined,
  flags: GlobalFlags & FollowFlags,
): Promise<void> {
  if (id === undefined) await listAll(terminal, flags);
  else if (flags.follow === true)
    await withInterrupts(terminal, flags, async (trommel) => showOne(terminal, await trommel.run(id), true));
  else await withTrommel(terminal, flags, async (trommel) => showOne(terminal, await trommel.run(id), false));
}

async function listAll(terminal: Terminal, flags: GlobalFlags): Promise<void> {
  await withTrommel(terminal, flags, async (trommel) => {
    const runs = await trommel.list();
    for (const line of statusTable(runs)) terminal.say(line);
    for (const run of runs) {
      if (run.phase === "damaged") terminal.say(describeDamaged(run));
      else if (run.error !== undefined) terminal.say(`${run.id}: ${describeError(run.error)}`);
    }
    if (runs.length === 0) terminal.say(describeEmpty(trommel.store.url));
    if (runs.some(({ phase }) => phase === "damaged")) terminal.exitCode = exitCodes.failed;
    terminal.result({ runs });
  });
}

/** A bucket's prefix exists as soon as something is written below it, so only a folder can be missing. */
function describeEmpty(url: string): string {
  const isMissing = url.startsWith("file:") && !existsSync(fileURLToPath(url));
  return isMissing
    ? `the store ${url} does not exist yet: the first command that writes makes it. If you expected runs here, check --store`
    : `no run in ${url} yet`;
}

async function showOne(terminal: Terminal, work: Work, following: boolean): Promise<void> {
  const now = await work.status();
  if (following && now.phase === "running") {
    showResult(terminal, work, await followToEnd(terminal, work));
    return;
  }
  if (now.result !== undefined) {
    showResult(terminal, work, now.result);
    return;
  }
  for (const line of statusTable([now])) terminal.say(line);
  for (const line of describeStages(now.stages)) terminal.say(`  ${line}`);
  const tuning = isRun(work) ? await work.tuning() : undefined;
  if (tuning !== undefined && tuning.figures.length > 0)
    terminal.say(`  ${describeRound(tuning, tuning.figures.length - 1)}`);
  const failed = now.stages
    .filter(({ stage }) => stageTable[stage].inLedger === true)
    .reduce((sum, { failedImages }) => sum + failedImages, 0);
  if (failed > 0) terminal.say(`  ${counted(failed, "file")} failed; 'trommel errors ${now.id}' says why`);
  if (now.error !== undefined) terminal.say(`  ${describeError(now.error)}`);
  terminal.result(now);
}

function describeError({ stage, message }: StopReason): string {
  return stage === "" ? message : `${stage} failed: ${message}`;
}

function describeDamaged({ id, kind, error }: { id: string; kind: string; error: StopReason }): string {
  return printable(
    `${id} (${kind}): damaged, ${error.message}. Give its command again under another name, or put ${kind}s/${id} back from a copy`,
  );
}

/** `trommel cancel <id>` */
export async function cancel(terminal: Terminal, id: string, flags: GlobalFlags): Promise<void> {
  await withTrommel(terminal, flags, async (trommel) => {
    const work = await trommel.run(id);
    await work.cancel();
    terminal.say(`cancelled ${id}; what is done is kept. 'trommel resume ${id}' continues it`);
    terminal.result({ id, kind: work.kind, phase: "cancelled" });
  });
}

/** `trommel resume <id>` */
export async function resume(
  terminal: Terminal,
  id: string,
  flags: GlobalFlags & ClusterFlags & FollowFlags & SteeringFlags & { readonly maxFailures?: string },
): Promise<void> {
  await withInterrupts(terminal, flags, async (trommel, signal) => {
    const detach = isDetached(terminal, flags);
    const { maxFailures } = flags;
    const work = await trommel.run(id);
    await work.resume({ detach, maxFailures, signal, ...steeringOf(flags) });
    await showWork(terminal, work, detach);
  });
}
