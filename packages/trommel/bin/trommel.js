#!/usr/bin/env node
import { main } from "../dist/cli.js";
import { endProcess } from "../dist/cli/end-process.js";
import { processIo } from "../dist/cli/process-io.js";

/** A connection that still waits for a Redis would keep a finished process alive; this ends it. */
const lingerMs = 2000;

process.on("unhandledRejection", (reason) => {
  process.stderr.write(`trommel: ${reason instanceof Error ? reason.message : String(reason)}\n`);
  process.exitCode = 1;
});

// A reader such as `head` may close the pipe early; what it has read is all that it wanted.
process.stdout.on("error", (error) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

const args = process.argv.slice(2);
const exitCode = await main(args, processIo(args));
if (exitCode !== 0) process.exitCode = exitCode;
// So would the channel of a worker to the command that started it.
if (process.connected) process.disconnect();
setTimeout(endProcess, lingerMs).unref();
