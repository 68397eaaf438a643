import { Option, type Command } from "commander";
import { scoreFormat } from "../../index.js";
import { globals, loaded } from "./shared-flags.js";
import type { Terminal } from "../terminal.js";

export function addScoresCommands(program: Command, terminal: Terminal): void {
  const scores = program
    .command("scores")
    .description("read the current scores of a scoring, of all its generations");
  const format = (): Option =>
    new Option("--format <format>", "in which format").choices(scoreFormat.options).default("jsonl");
  globals(scores.command("cat <scoring>"), terminal)
    .description("print the rows of every current part; <scoring> is an id or an output")
    .addOption(format())
    .action(loaded(terminal, async () => (await import("../commands/scores.js")).cat));
  globals(scores.command("files <scoring>"), terminal)
    .description("print the location of every current part; <scoring> is an id or an output")
    .addOption(format())
    .action(loaded(terminal, async () => (await import("../commands/scores.js")).files));
}
