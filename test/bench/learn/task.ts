import { measureDivision, type Division } from "./run-stages.js";
import type { StoredRunOptions } from "./stored-run.js";
import { trainWithSeed, type SeedFigures, type SeedOptions } from "./train-with-seed.js";

/** One task in a process of its own: it is given by the first argument, and its result is sent. */
export type Task =
  | { readonly kind: "division"; readonly options: StoredRunOptions }
  | { readonly kind: "seed"; readonly options: SeedOptions };

const task = JSON.parse(process.argv[2] ?? "") as Task;
const result: Division | SeedFigures =
  task.kind === "division" ? await measureDivision(task.options) : await trainWithSeed(task.options);
process.send?.(result);
process.disconnect();
