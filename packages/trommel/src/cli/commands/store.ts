import { garbageKinds } from "../../index.js";
import type { GarbageKind } from "../../index.js";
import { counted } from "../describe/counted.js";
import { describeSum } from "../describe/describe-sum.js";
import { withTrommel, type GlobalFlags } from "../handle.js";
import type { Terminal } from "../terminal.js";

type CollectFlags = GlobalFlags & {
  readonly yes?: boolean;
  readonly backbones?: boolean;
  /** Milliseconds. */
  readonly olderThan: number;
};

/** `trommel store gc` */
export async function storeGc(terminal: Terminal, flags: CollectFlags): Promise<void> {
  await withTrommel(terminal, flags, async ({ storeKeeping }) => {
    const options = { backbones: flags.backbones, olderThanMs: flags.olderThan };
    const found = await storeKeeping.gc(options);
    for (const [kind, sum] of Object.entries(found.byKind))
      terminal.say(`${garbageKinds[kind as GarbageKind]}: ${describeSum(sum)}`);
    if (found.young > 0)
      terminal.say(`left for now, for they are younger than --older-than: ${counted(found.young, "object")}`);
    if (found.objects === 0) terminal.say("there is nothing to remove");
    else if (flags.yes !== true)
      terminal.say(`the same command with --yes removes ${describeSum(found)}; nothing was removed yet`);
    const removes = flags.yes === true && found.objects > 0;
    const done = removes ? await storeKeeping.gc({ ...options, remove: true }) : found;
    if (done.removed) terminal.say(`removed ${describeSum(done)}`);
    terminal.result(done);
  });
}

/** `trommel store remove <id>` */
export async function storeRemove(
  terminal: Terminal,
  id: string,
  flags: GlobalFlags & { readonly yes?: boolean },
): Promise<void> {
  await withTrommel(terminal, flags, async ({ storeKeeping }) => {
    const stored = await storeKeeping.remove(id, { remove: flags.yes });
    terminal.say(`${stored.kind} ${id}: ${describeSum(stored)}`);
    if (stored.kind === "scoring")
      terminal.say(
        stored.scoresStay
          ? "its scores stay where they are"
          : "its scores are an evaluation's, and go with it",
      );
    else if (stored.kind === "sorting") terminal.say("its pictures and its ledger stay where they are");
    else
      terminal.say(
        "its feature shards stay until 'trommel store gc' removes them, and an exported bundle stays",
      );
    for (const scoring of stored.dependents)
      terminal.say(
        `the scoring ${scoring} was made with it: its scores stay, and cannot be retried any more`,
      );
    if (stored.cameWith.length > 0)
      terminal.say(
        `${stored.cameWith.join(", ")} came with it and ${stored.cameWith.length === 1 ? "stays: remove it by its id" : "stay: remove each by its id"}`,
      );
    const [tuned, ...others] = stored.tunedBackbones;
    if (tuned !== undefined)
      terminal.say(
        others.length === 0
          ? `the tuned backbone ${tuned} stays: 'trommel backbone remove ${tuned}' removes it once no run uses it`
          : `the tuned backbones ${stored.tunedBackbones.join(", ")} stay: 'trommel backbone remove <id>' removes each once no run uses it`,
      );
    terminal.say(
      stored.removed ? `removed ${id}` : "the same command with --yes removes it; nothing was removed yet",
    );
    terminal.result(stored);
  });
}
