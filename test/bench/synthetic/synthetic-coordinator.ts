/**
 * A coordinator in a process of its own, as `trommel coordinator` runs it, whose pictures are a {@link SyntheticSource}. Says `ready` once it
 * serves, and ends when its channel closes. Its options come as JSON in the first argument.
 */
import { openStore } from "@trommel/common";
import { startCoordinator } from "#coordinator/coordinator";
import { pino } from "pino";
import { SyntheticSource, type SyntheticKeys } from "./synthetic-source.js";

export interface SyntheticCoordinatorOptions extends SyntheticKeys {
  readonly redisUrl: string;
  readonly store: string;
}

const options = JSON.parse(process.argv[2] ?? "") as SyntheticCoordinatorOptions;
await startCoordinator({
  redisUrl: options.redisUrl,
  store: openStore(options.store),
  log: pino({ level: "warn" }, process.stderr),
  openSource: () => new SyntheticSource(options),
});
process.once("disconnect", () => process.exit(0));
process.send?.("ready");
