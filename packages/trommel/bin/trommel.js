#!/usr/bin/env node
import { main } from "../dist/cli.js";
import { endProcess } from "../dist/cli/end-process.js";
import { processIo } from "../dist/cli/process-io.js";

/** A connection that waits for a Redis which is gone would keep a finished process alive; this ends it. */
const lingerMs = 2000;

process.on("unhandledRejection", (reason) => {
  process.stderr.write(`trommel: ${reason instanceof Error ? reason.message : String(reason)}\n`);
  process.exitCode = 1;
});

const args = process.argv.slice(2);
const exitCode = await main(args, processIo(args));
if (exitCode !== 0) process.exitCode = exitCode;
// So would the channel of a worker to the command that started it.
if (process.connected) process.disconnect();
setTimeout(endProcess, lingerMs).unref();
