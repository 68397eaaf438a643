import { TrommelError } from "@trommel/common";
import { collectGarbage } from "@trommel/coordinator/store-keeping/collect-garbage";
import { garbageKinds, type GarbageKind, type GarbageSum } from "@trommel/coordinator/store-keeping/garbage";
import { checkDependents, countRun, removeRun } from "@trommel/coordinator/store-keeping/remove-run";
import { listSubjects } from "@trommel/coordinator/run-control/list-subjects";
import { findSubject, readStatus } from "@trommel/coordinator/run-control/run-state";
import { Session, type GlobalFlags } from "../session.js";
import type { Terminal } from "../terminal.js";

type CollectFlags = GlobalFlags & {
  readonly yes?: boolean;
  readonly backbones?: boolean;
  /** Milliseconds. */
  readonly olderThan: number;
};

/** `trommel store gc` */
export async function storeGc(terminal: Terminal, flags: CollectFlags): Promise<void> {
  const session = new Session(terminal, flags);
  try {
    const collect = (remove: boolean): ReturnType<typeof collectGarbage> =>
      collectGarbage({
        store: session.store,
        remove,
        withBackbones: flags.backbones ?? false,
        olderThanMs: flags.olderThan,
        nowMs: Date.now(),
      });
    const found = await collect(false);
    for (const [kind, sum] of Object.entries(found.byKind))
      session.say(`${garbageKinds[kind as GarbageKind]}: ${describe(sum)}`);
    if (found.young > 0)
      session.say(`left for now, for they are younger than --older-than: ${found.young} objects`);
    if (found.objects === 0) session.say("there is nothing to remove");
    else if (flags.yes !== true)
      session.say(`the same command with --yes removes ${describe(found)}; nothing was removed yet`);
    const done = flags.yes === true && found.objects > 0 ? await collect(true) : found;
    if (done.removed) session.say(`removed ${describe(done)}`);
    session.result(done);
  } finally {
    await session.close();
  }
}

/** `trommel store remove <run>` */
export async function storeRemove(
  terminal: Terminal,
  id: string,
  flags: GlobalFlags & { readonly yes?: boolean },
): Promise<void> {
  const session = new Session(terminal, flags);
  try {
    const { store } = session;
    const run =
      (await listSubjects(store)).find((subject) => subject.id === id) ?? (await findSubject(store, id));
    await refuseLive(session, id);
    const dependents = await checkDependents(store, run);
    const sum = await countRun(store, run);
    session.say(`${run.kind} ${id}: ${describe(sum)}`);
    if (run.kind === "scoring") session.say("its scores stay where they are");
    else session.say("its feature shards stay until 'trommel store gc', an exported bundle for good");
    for (const scoring of dependents)
      session.say(`the scoring ${scoring} was made with it: its scores stay, and cannot be retried any more`);
    if (flags.yes === true) await removeRun(store, run);
    session.say(
      flags.yes === true
        ? `removed ${id}`
        : "the same command with --yes removes it; nothing was removed yet",
    );
    session.result({ id, kind: run.kind, removed: flags.yes === true, ...sum, dependents });
  } finally {
    await session.close();
  }
}

/** One whose configuration cannot be read is worked on by nobody. */
async function refuseLive(session: Session, id: string): Promise<void> {
  const subject = await findSubject(session.store, id).catch((thrown: unknown) => {
    if (thrown instanceof TrommelError && thrown.code === "corrupt") return undefined;
    throw thrown;
  });
  if (subject === undefined) return;
  const { phase } = await readStatus(session.store, subject, await session.producerOf(subject));
  if (phase !== "running") return;
  throw new TrommelError(
    "conflict",
    `failed to remove ${id}: it is being worked on. 'trommel cancel ${id}' stops it`,
    { context: { id } },
  );
}

function describe({ objects, sizeBytes }: GarbageSum): string {
  return `${objects} ${objects === 1 ? "object" : "objects"}, ${formatBytes(sizeBytes)}`;
}

function formatBytes(sizeBytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let value = sizeBytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
