import type { Command } from "commander";
import { cancel, resume, status } from "../commands/runs.js";
import { clusterFlags, followFlags, globals } from "./shared-flags.js";

export function addRunCommands(program: Command): void {
  globals(program.command("status [run]"))
    .description("what a run has done, or a list of all")
    .option("--follow", "show progress until it ends")
    .action(status);
  globals(program.command("cancel <run>")).description("stop a run; what is done is kept").action(cancel);
  followFlags(clusterFlags(globals(program.command("resume <run>"))))
    .description("continue a run from what the store holds")
    .action(resume);
}
