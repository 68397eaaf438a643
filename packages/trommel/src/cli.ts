import { Command } from "commander";
import { messageOf, TrommelError } from "@trommel/common";
import { addBackboneCommands } from "./cli/groups/backbone-commands.js";
import { addRecipeCommands } from "./cli/groups/recipe-commands.js";
import { addRunCommands } from "./cli/groups/run-commands.js";
import { addServers } from "./cli/groups/server-commands.js";
import { addStoreCommands } from "./cli/groups/store-commands.js";
import { addScore, addTrain } from "./cli/groups/work-commands.js";
import { reportFailure, tell } from "./cli/report-failure.js";

/** The command line. @returns the exit code: 0 done, 1 failed, 2 refused as it was asked, 3 done without one readable file */
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
  addStoreCommands(program);
  try {
    await program.parseAsync([...args], { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : 0;
  } catch (thrown) {
    return await reportFailure(thrown, args);
  }
}

process.on("unhandledRejection", (reason) => {
  tell(reason instanceof TrommelError ? reason.message : messageOf(reason));
  process.exitCode = 1;
});
