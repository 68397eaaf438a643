import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Division } from "./run-stages.js";
import type { StoredRunOptions } from "./stored-run.js";
import type { Task } from "./task.js";
import type { SeedFigures, SeedOptions } from "./train-with-seed.js";

/** Divisions of stored features, as many at once as there are threads. @returns in the order of the options */
export function measureDivisions(
  options: readonly StoredRunOptions[],
  threads: number,
  onEach: (division: Division) => void,
): Promise<Division[]> {
  const tasks = options.map((of): Task => ({ kind: "division", options: of }));
  return sideBySide<Division>(tasks, threads, onEach);
}

/** A candidate's heads from several seeds, as many at once as there are threads. */
export function trainWithSeeds(options: readonly SeedOptions[], threads: number): Promise<SeedFigures[]> {
  const tasks = options.map((of): Task => ({ kind: "seed", options: of }));
  return sideBySide<SeedFigures>(tasks, threads, () => undefined);
}

async function sideBySide<T>(
  tasks: readonly Task[],
  threads: number,
  onEach: (result: T) => void,
): Promise<T[]> {
  const results: T[] = [];
  const open = [...tasks.entries()];
  const work = async (): Promise<void> => {
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      const [at, task] = next;
      const result = (await runApart(task)) as T;
      results[at] = result;
      onEach(result);
    }
  };
  await Promise.all(Array.from({ length: threads }, work));
  return results;
}

async function runApart(task: Task): Promise<unknown> {
  const entry = fileURLToPath(new URL("./task.js", import.meta.url));
  const child = fork(entry, [JSON.stringify(task)]);
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`the process for ${JSON.stringify(task)} ended with ${String(code)} and no result`);
  });
  const [result] = (await Promise.race([once(child, "message"), ended])) as [unknown];
  await ended.catch(() => undefined);
  return result;
}
