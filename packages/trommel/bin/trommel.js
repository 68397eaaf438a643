#!/usr/bin/env node
import { main } from "../dist/cli.js";
import { endProcess } from "../dist/cli/end-process.js";

/** A connection that waits for a Redis which is gone would keep a finished process alive; this ends it. */
const lingerMs = 2000;

process.exitCode = await main(process.argv.slice(2));
// So would the channel of a worker to the command that started it.
if (process.connected) process.disconnect();
setTimeout(endProcess, lingerMs).unref();
