import { Option, type Command } from "commander";
import { defaultOutstandingShards, workerDefaults, workerOptionsAtMost, workerQueues } from "../../index.js";
import { clusterFlags, globals, loaded, positiveInteger, upTo, workerFlags } from "./shared-flags.js";
import type { Terminal } from "../terminal.js";

export function addServers(program: Command, terminal: Terminal): void {
  globals(program.command("coordinator"), terminal, "info")
    .description("serve the plan queue: prefixes to shards to jobs")
    .option(
      "--outstanding-shards <shards>",
      "of one run, queued and unfinished at most",
      positiveInteger,
      defaultOutstandingShards,
    )
    .action(loaded(terminal, async () => (await import("../commands/serve.js")).coordinator));
  workerFlags(globals(program.command("worker"), terminal, "info"))
    .description("serve the work queues")
    .option(
      "--concurrency <shards>",
      "shards in flight",
      upTo(workerOptionsAtMost.concurrency),
      workerDefaults.concurrency,
    )
    .addOption(
      new Option("--queues <names...>", "queues to serve").choices(workerQueues).default([...workerQueues]),
    )
    .option(
      "--drain-seconds <seconds>",
      "how long shards under way may finish after SIGTERM",
      positiveInteger,
      workerDefaults.drainMs / 1000,
    )
    .addOption(new Option("--embedded").hideHelp())
    .action(loaded(terminal, async () => (await import("../commands/serve.js")).worker));
  clusterFlags(globals(program.command("up"), terminal, "info"))
    .description("run a local cluster until interrupted: Redis, a coordinator and workers")
    .option("--port <port>", "loopback port of its Redis", upTo(65_535), 6390)
    .action(loaded(terminal, async () => (await import("../commands/serve.js")).up));
}
