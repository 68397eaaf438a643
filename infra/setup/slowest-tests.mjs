/**
 * A reporter of node:test for the end of a run: the ten slowest tests, and how long the run took. It also keeps what each
 * file took, so that the next run starts the longest ones first.
 */
import { keepDurations, nameOf } from "./test-durations.mjs";

const shown = 10;

export default async function* slowestTests(events) {
  const startedAt = performance.now();
  const tests = [];
  const perFile = new Map();
  for await (const { type, data } of events) {
    if (type !== "test:pass" && type !== "test:fail") continue;
    if (data.skip !== undefined || data.file === undefined) continue;
    const file = nameOf(data.file);
    const ms = data.details?.duration_ms ?? 0;
    if (data.nesting === 0) perFile.set(file, (perFile.get(file) ?? 0) + Math.round(ms));
    if (data.details?.type !== "suite") tests.push({ file, name: data.name, ms });
  }
  keepDurations(perFile);
  const slowest = tests.sort((left, right) => right.ms - left.ms).slice(0, shown);
  yield `\nThe ${slowest.length} slowest of ${tests.length} tests, in seconds (the whole run: ${seconds(performance.now() - startedAt).trim()}):\n`;
  for (const { file, name, ms } of slowest) yield `${seconds(ms)}  ${file}: ${name}\n`;
}

function seconds(ms) {
  return (ms / 1000).toFixed(1).padStart(6);
}
