import { InvalidArgumentError, Option, type Command } from "commander";
import { globals, loaded } from "./shared-flags.js";
import type { Terminal } from "../terminal.js";

export function addStoreCommands(program: Command, terminal: Terminal): void {
  const store = program
    .command("store")
    .description("see what a store holds that nothing refers to, and remove it");
  globals(store.command("gc"), terminal)
    .description(
      "say what no run refers to: feature shards, half-written artefacts, what is left of runs; with --yes, remove it",
    )
    .option("--yes", "remove it")
    .addOption(
      new Option("--older-than <age>", "leave what was written since: 30m, 24h, 7d")
        .argParser(age)
        .default(age("24h"), "24h"),
    )
    .option("--backbones", "also backbones that no run uses, imported by hand or not")
    .action(loaded(terminal, async () => (await import("../commands/store.js")).storeGc));
  globals(store.command("remove <id>"), terminal)
    .description("say what a run or scoring takes in the store; with --yes, remove it")
    .option("--yes", "remove it")
    .action(loaded(terminal, async () => (await import("../commands/store.js")).storeRemove));
}

/** In milliseconds. */
function age(text: string): number {
  const [, number, unit = ""] = /^(\d+)([smhd])$/.exec(text) ?? [];
  const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit];
  if (number === undefined || unitMs === undefined)
    throw new InvalidArgumentError("It is not an age such as 30m, 24h or 7d");
  return Number(number) * unitMs;
}
