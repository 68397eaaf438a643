import { Option, type Command } from "commander";
import { clusterFlags, followFlags, globals, loaded, share } from "./shared-flags.js";
import type { Terminal } from "../terminal.js";

export function addSort(program: Command, terminal: Terminal): void {
  followFlags(clusterFlags(globals(program.command("sort <scoring>"), terminal)))
    .description(
      "put the pictures of a finished scoring, by its id or output, into a folder per label; nothing is overwritten",
    )
    .requiredOption("--into <prefix>", "where the folders go, outside the pictures (required)")
    .addOption(new Option("--by <what>", "what names the folders").choices(["label"]).default("label"))
    .option("--min <share>", "leave pictures where they are that are less probable than this", share)
    .option("--copy", "copy them (default); a bucket's server copies within itself")
    .addOption(new Option("--link", "give files a second name instead of a copy").conflicts(["copy", "move"]))
    .addOption(
      new Option(
        "--move",
        "remove them from where they were, each once its bytes are in its place",
      ).conflicts(["copy", "link"]),
    )
    .action(loaded(terminal, async () => (await import("../commands/sort.js")).sort));
}
