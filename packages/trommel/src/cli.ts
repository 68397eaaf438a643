import { Command, CommanderError } from "commander";
import { addBackboneCommands } from "./cli/flags/backbone-commands.js";
import { addClusterCommands } from "./cli/flags/cluster-commands.js";
import { addEvaluate } from "./cli/flags/evaluate-command.js";
import { addFeaturesCommands } from "./cli/flags/features-command.js";
import { addRecipeCommands } from "./cli/flags/recipe-commands.js";
import { addRunCommands } from "./cli/flags/run-commands.js";
import { addServers } from "./cli/flags/server-commands.js";
import { addStoreCommands } from "./cli/flags/store-commands.js";
import { addSort } from "./cli/flags/sort-command.js";
import { addScoresCommands } from "./cli/flags/scores-commands.js";
import { addScore, addTrain } from "./cli/flags/work-commands.js";
import { Terminal, type CommandIo } from "./cli/terminal.js";
import { toTrommelError, version } from "./index.js";

/**
 * The command line. It changes nothing of the process that it runs in but by `io`.
 * @returns the exit code: 0 done, 1 failed, 2 refused as it was asked, 3 done without one readable file, 4 evaluated and below
 *   a bound, 130 or 143 where SIGINT or SIGTERM stopped it
 */
export async function main(args: readonly string[], io: CommandIo): Promise<number> {
  const terminal = new Terminal(io, { json: args.includes("--json") });
  try {
    await programFor(terminal).parseAsync([...args], { from: "user" });
    return terminal.exitCode;
  } catch (thrown) {
    return await terminal.fail(thrown instanceof CommanderError ? thrown : toTrommelError(thrown));
  }
}

/** Every command with its flags; what a command does is loaded when it is given. */
export function programFor(terminal: Terminal): Command {
  const { stdout, stderr } = terminal.io;
  const program = new Command("trommel")
    .description(
      "Trains image classifiers on frozen backbones and scores image collections, over a job queue.",
    )
    .version(version)
    .showHelpAfterError("(--help shows what is legal)")
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
    })
    .exitOverride();
  addBackboneCommands(program, terminal);
  addRecipeCommands(program, terminal);
  addTrain(program, terminal);
  addScore(program, terminal);
  addSort(program, terminal);
  addEvaluate(program, terminal);
  addScoresCommands(program, terminal);
  addServers(program, terminal);
  addClusterCommands(program, terminal);
  addFeaturesCommands(program, terminal);
  addRunCommands(program, terminal);
  addStoreCommands(program, terminal);
  return program;
}
