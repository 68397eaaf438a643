import { InvalidArgumentError, type Command } from "commander";
import { failureReason, type FailureReason } from "../../index.js";
import {
  clusterFlags,
  followFlags,
  globals,
  loaded,
  maxFailures,
  positiveInteger,
  steeringFlags,
} from "./shared-flags.js";
import type { Terminal } from "../terminal.js";

export function addRunCommands(program: Command, terminal: Terminal): void {
  globals(program.command("status [id]"), terminal)
    .description("what a run or scoring has done, or a list of all")
    .option("--follow", "show progress until it ends")
    .action(loaded(terminal, async () => (await import("../commands/runs.js")).status));
  globals(program.command("cancel <id>"), terminal)
    .description("stop a run or scoring; what is done is kept")
    .action(loaded(terminal, async () => (await import("../commands/runs.js")).cancel));
  globals(program.command("pause <id>"), terminal)
    .description("stop a run or scoring until it is unpaused; what is done is kept")
    .action(loaded(terminal, async () => (await import("../commands/cluster/steering.js")).pause));
  steeringFlags(followFlags(clusterFlags(globals(program.command("unpause <id>"), terminal))), {
    known: true,
  })
    .description("continue a run or scoring that was paused")
    .action(loaded(terminal, async () => (await import("../commands/cluster/steering.js")).unpause));
  steeringFlags(globals(program.command("steer <id>"), terminal), { known: true })
    .description("change the share of a run or scoring, or how many of its jobs are under way at once")
    .action(loaded(terminal, async () => (await import("../commands/cluster/steering.js")).steer));
  steeringFlags(followFlags(clusterFlags(globals(program.command("resume <id>"), terminal))), { known: true })
    .description("continue a run or scoring from what the store holds")
    .option(...maxFailures)
    .action(loaded(terminal, async () => (await import("../commands/runs.js")).resume));
  globals(program.command("errors <id>"), terminal)
    .description("list the files that failed, by reason, and those that were left out")
    .option("--reason <reasons>", "only these; several by commas or by repeating it", failureReasons)
    .option("--limit <files>", "files shown of each reason", positiveInteger, 20)
    .action(loaded(terminal, async () => (await import("../commands/errors.js")).errors));
  followFlags(clusterFlags(globals(program.command("retry <id>"), terminal)))
    .description("try only the failed files again: of a scoring in place, of a run as a new run")
    .option("--reason <reasons>", "only these; several by commas or by repeating it", failureReasons)
    .option("--run <id>", "id of the new run (default: <id>-retry1)")
    .option("--output <location>", "where the new run's bundle is copied to, besides the store")
    .action(loaded(terminal, async () => (await import("../commands/retry.js")).retry));
}

/** Reasons of a list by commas, added to what the flag said before. */
function failureReasons(text: string, previous: readonly FailureReason[] = []): FailureReason[] {
  const added = text.split(",").map((name) => {
    const reason = failureReason.safeParse(name);
    if (reason.success) return reason.data;
    throw new InvalidArgumentError(`Allowed choices are ${failureReason.options.join(", ")}`);
  });
  return [...previous, ...added];
}
