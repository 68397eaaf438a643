import { steeringOf, type SteeringFlags } from "../../flags/shared-flags.js";
import { isDetached, showWork, type FollowFlags } from "../../follow.js";
import { withInterrupts, withTrommel, type ClusterFlags, type GlobalFlags } from "../../handle.js";
import type { Terminal } from "../../terminal.js";

/** `trommel pause <id>` */
export async function pause(terminal: Terminal, id: string, flags: GlobalFlags): Promise<void> {
  await withTrommel(terminal, flags, async (trommel) => {
    const work = await trommel.run(id);
    await work.pause();
    terminal.say(`paused ${id}; what is done is kept. 'trommel unpause ${id}' continues it`);
    terminal.result({ id, kind: work.kind, phase: "paused" });
  });
}

/** `trommel unpause <id>` */
export async function unpause(
  terminal: Terminal,
  id: string,
  flags: GlobalFlags & ClusterFlags & FollowFlags & SteeringFlags,
): Promise<void> {
  await withInterrupts(terminal, flags, async (trommel, signal) => {
    const detach = isDetached(terminal, flags);
    const work = await trommel.run(id);
    await work.unpause({ detach, signal, ...steeringOf(flags) });
    await showWork(terminal, work, detach);
  });
}

/** `trommel steer <id>` */
export async function steer(
  terminal: Terminal,
  id: string,
  flags: GlobalFlags & SteeringFlags,
): Promise<void> {
  await withTrommel(terminal, flags, async (trommel) => {
    const work = await trommel.run(id);
    await work.steer(steeringOf(flags));
    terminal.say(`steered ${id}: what it queues from now on has the new share`);
    terminal.result({ id, kind: work.kind, ...steeringOf(flags) });
  });
}
