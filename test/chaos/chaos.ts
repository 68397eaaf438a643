/**
 * `npm run chaos -- --minutes M --seed S`: trains, tunes and scores while processes are killed and stopped, Redis goes and comes
 * back empty and the object store's answers are spoilt; compares with what an undisturbed run leaves.
 * The same seed gives the same schedule of faults. `--json` prints one object; `--logs` keeps what the processes said.
 * Ends with 0 only where nothing was lost, doubled or different.
 */
import { parseArgs } from "node:util";
import { TrommelError } from "@trommel/common";
import { describeReport, isSound } from "./chaos-report.js";
import { runChaos } from "./run-chaos.js";

const { values: flags } = parseArgs({
  options: {
    minutes: { type: "string", default: "2" },
    seed: { type: "string", default: "1" },
    logs: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

function numberOf(name: "minutes" | "seed", isLegal: (value: number) => boolean, legal: string): number {
  const value = Number(flags[name]);
  if (isLegal(value)) return value;
  throw new TrommelError(
    "invalid-argument",
    `failed to start: --${name} ${flags[name]} is not ${legal}. Give --${name} 2`,
  );
}

// Whatever is running then is ended with us.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

const report = await runChaos({
  minutes: numberOf("minutes", (value) => value > 0 && value < 24 * 60, "a number of minutes"),
  seed: numberOf("seed", Number.isSafeInteger, "a whole number"),
  say: (line) => process.stderr.write(`chaos: ${line}\n`),
  ...(flags.logs === undefined ? {} : { folder: flags.logs }),
});
process.stdout.write(`${flags.json ? JSON.stringify(report) : describeReport(report)}\n`);
process.exit(isSound(report) ? 0 : 1);
