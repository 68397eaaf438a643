#!/usr/bin/env node
import { main } from "../dist/cli.js";

process.exitCode = await main(process.argv.slice(2));
// In a worker of a local cluster an open channel would keep the process alive.
if (process.connected) process.disconnect();
