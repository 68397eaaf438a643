import { Option, type Command } from "commander";
import { devices } from "../../index.js";
import type { Terminal } from "../terminal.js";
import { globals, loaded, positiveInteger } from "./shared-flags.js";

/** Commands that look at a cluster. */
export function addClusterCommands(program: Command, terminal: Terminal): void {
  globals(program.command("doctor"), terminal)
    .description("check this machine, Redis, the store, its backbones and who serves, and say what to do")
    .addOption(new Option("--device <device>", "the device to try").choices(devices).default("cpu"))
    .option("--timeout <seconds>", "what one check may take", positiveInteger, 10)
    .action(loaded(terminal, async () => (await import("../commands/cluster/doctor.js")).doctor));
  globals(program.command("workers"), terminal, { withoutRedis: "none, and it is needed" })
    .description("list the coordinators and workers that serve now, and what each has and does")
    .action(loaded(terminal, async () => (await import("../commands/cluster/workers.js")).workers));
}
