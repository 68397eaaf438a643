import { Command, CommanderError } from "commander";
import { messageOf, TrommelError, toTrommelError } from "@trommel/common";
import { addBackboneCommands } from "./cli/groups/backbone-commands.js";
import { addRecipeCommands } from "./cli/groups/recipe-commands.js";
import { addRunCommands } from "./cli/groups/run-commands.js";
import { addServers } from "./cli/groups/server-commands.js";
import { addScore, addTrain } from "./cli/groups/work-commands.js";

/** The command line. @returns the exit code: 0 done, 1 failed, 2 refused as it was asked */
export async function main(args: readonly string[]): Promise<number> {
  const program = new Command("trommel")
    .description(
      "Trains image classifiers on frozen backbones and scores image collections, over a job queue.",
    )
    .version("0.1.0")
    .showHelpAfterError("(--help shows what is legal)")
    .exitOverride();
  addBackboneCommands(program);
  addRecipeCommands(program);
  addTrain(program);
  addScore(program);
  addServers(program);
  addRunCommands(program);
  try {
    await program.parseAsync([...args], { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : 0;
  } catch (thrown) {
    return await reportFailure(thrown, args);
  }
}

async function reportFailure(thrown: unknown, args: readonly string[]): Promise<number> {
  const json = args.includes("--json");
  const embedded = args.includes("--embedded");
  // Commander has printed its own message, and --help and --version end here with 0.
  if (thrown instanceof CommanderError) {
    if (thrown.exitCode === 0) return 0;
    if (json)
      process.stdout.write(
        `${JSON.stringify({ error: { code: "invalid-argument", message: thrown.message } })}\n`,
      );
    return 2;
  }
  const error = toTrommelError(thrown);
  if (error.code === "cancelled" && error.context["interrupted"] === true) {
    process.stderr.write(`trommel: ${error.message}\n`);
    return 130;
  }
  const exitCode = error.code === "invalid-argument" || error.code === "device-unavailable" ? 2 : 1;
  // A worker of a local cluster leaves the telling to the command that started it.
  if (embedded && process.connected) {
    await new Promise((sent) => process.send?.({ error: error.toJSON() }, sent));
    return exitCode;
  }
  if (json) process.stdout.write(`${JSON.stringify({ error: error.toJSON() })}\n`);
  process.stderr.write(`trommel: ${error.message}\n`);
  if (error.code === "internal" && error.cause instanceof Error)
    process.stderr.write(`${error.cause.stack ?? ""}\n`);
  return exitCode;
}

process.on("unhandledRejection", (reason) => {
  process.stderr.write(`trommel: ${reason instanceof TrommelError ? reason.message : messageOf(reason)}\n`);
  process.exitCode = 1;
});
