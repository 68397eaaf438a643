import { Option, type Command } from "commander";
import { defaultOutstandingShards, workerDefaults, workerOptionsAtMost, workerQueues } from "../../index.js";
import { clusterFlags, globals, loaded, positiveInteger, upTo, workerFlags } from "./shared-flags.js";
import type { Terminal } from "../terminal.js";

const serverGlobals = { logLevel: "info", withoutRedis: "none, and it is needed" };
const dashboardGlobals = {
  logLevel: "info",
  withoutRedis: "none: it shows the store, and starts work itself",
};

export function addServers(program: Command, terminal: Terminal): void {
  globals(program.command("coordinator"), terminal, serverGlobals)
    .description("serve the plan queue: prefixes to shards to jobs")
    .option(
      "--outstanding-shards <shards>",
      "of one run, queued and unfinished at most",
      positiveInteger,
      defaultOutstandingShards,
    )
    .addOption(metricsFlag(terminal))
    .action(loaded(terminal, async () => (await import("../commands/serve.js")).coordinator));
  workerFlags(globals(program.command("worker"), terminal, serverGlobals))
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
    .addOption(metricsFlag(terminal))
    .addOption(new Option("--embedded").hideHelp())
    .action(loaded(terminal, async () => (await import("../commands/serve.js")).worker));
  dashboardFlags(globals(program.command("dashboard"), terminal, dashboardGlobals))
    .description("serve the HTTP API and a page that shows runs, workers and results")
    .addOption(metricsFlag(terminal))
    .action(loaded(terminal, async () => (await import("../commands/dashboard.js")).dashboard));
  dashboardFlags(clusterFlags(globals(program.command("up"), terminal, { logLevel: "info" })))
    .description("run a local cluster until interrupted: Redis, a coordinator and workers")
    .option("--port <port>", "loopback port of its Redis", upTo(65_535), 6390)
    .option("--dashboard", "serve the dashboard, too")
    .action(loaded(terminal, async () => (await import("../commands/serve.js")).up));
}

/** Flags of whatever serves the dashboard. */
function dashboardFlags(command: Command): Command {
  const collect = (root: string, previous: readonly string[] = []): string[] => [...previous, root];
  return command
    .option("--listen <address>", "address and port of the dashboard (default: 127.0.0.1:8470)")
    .option(
      "--token-file <file>",
      "file with the token that actions and, off loopback, everything needs (default: TROMMEL_TOKEN, else no actions)",
    )
    .option(
      "--root <location>",
      "place that the sources and outputs of requests lie under; repeat for several (default: the store)",
      collect,
    )
    .option("--insecure-http", "serve off loopback in plain HTTP, such as behind a proxy that speaks TLS");
}

function metricsFlag({ io }: Terminal): Option {
  const { TROMMEL_METRICS: address } = io.env;
  return new Option(
    "--metrics <host:port>",
    "serve metrics for Prometheus there (env: TROMMEL_METRICS; default: none)",
  ).default(address, "TROMMEL_METRICS");
}
