import { Option, type Command } from "commander";
import { globals, loaded } from "./shared-flags.js";
import type { Terminal } from "../terminal.js";

export function addFeaturesCommands(program: Command, terminal: Terminal): void {
  const features = program.command("features").description("read the embeddings that a run has stored");
  globals(features.command("export <run>"), terminal)
    .description("write the embeddings of every view of a run's pictures into files of their own")
    .requiredOption("--into <prefix>", "where the files go, an empty place (required)")
    .addOption(
      new Option("--format <format>", "a Parquet file, or a numpy array and the keys of its rows")
        .choices(["parquet", "npy"])
        .default("parquet"),
    )
    .addOption(
      new Option("--dtype <type>", "type of the numbers (default: the run's)").choices(["f16", "f32"]),
    )
    .action(loaded(terminal, async () => (await import("../commands/features.js")).exportFeatures));
}
