import { TrommelError } from "../errors.js";
import type { Stage } from "./pipeline.js";

/** What does a stage's job: its arguments and result are those of the process that has the stage. */
export type StageFunction = (...values: readonly unknown[]) => Promise<unknown>;

/**
 * Finds a stage's implementation by its name: the file `<stage>.js` in `folder` exports a function under that name in camel case
 * (`plan-run.js` exports `planRun`).
 * @throws TrommelError `internal` if it exports none; what the import throws if there is no such file
 */
export async function loadStage(stage: Stage, folder: URL): Promise<StageFunction> {
  const module = (await import(new URL(`${stage}.js`, folder).href)) as Readonly<Record<string, unknown>>;
  const name = stage.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
  const found = module[name];
  if (typeof found === "function") return found as StageFunction;
  throw new TrommelError("internal", `cannot load the stage ${stage}: its file exports no function ${name}`);
}

/**
 * Loads stages before their first jobs come.
 * @returns finds one of them; it throws TrommelError `internal` for any other stage
 */
export async function loadStages(
  names: readonly Stage[],
  folder: URL,
): Promise<(stage: Stage) => StageFunction> {
  const loaded = new Map<Stage, StageFunction>();
  for (const stage of names) loaded.set(stage, await loadStage(stage, folder));
  return (stage) => {
    const found = loaded.get(stage);
    if (found !== undefined) return found;
    throw new TrommelError(
      "internal",
      `cannot do a job of the stage ${stage}: this process does ${names.join(", ")}`,
    );
  };
}
