import { resolve } from "node:path";
import { TrommelError, type Recipe } from "@trommel/common";
import { resolveRun } from "@trommel/coordinator/resolve/resolve-run";
import { readRecipe } from "../recipe-flags.js";
import { runSubject, type FollowFlags } from "../run-subject.js";
import { Session, type ClusterFlags, type GlobalFlags } from "../session.js";
import type { Terminal, Variables } from "../terminal.js";

type TrainFlags = GlobalFlags &
  ClusterFlags &
  FollowFlags &
  Readonly<Record<string, unknown>> & { readonly run?: string; readonly output?: string };

/** `trommel train [prefix]` */
export async function train(
  terminal: Terminal,
  prefix: string | undefined,
  flags: TrainFlags,
): Promise<void> {
  const session = new Session(terminal, flags);
  try {
    const recipe = await readRecipe(flags, terminal.io.cwd);
    const output = flags.output ?? variable(recipe.environment.output, terminal.io.env);
    const { config, claim } = await resolveRun({
      store: session.store,
      id: flags.run,
      dataset: session.locate(prefix ?? datasetOf(recipe, terminal.io.env)),
      recipe: { ...recipe, labels: pathsFrom(terminal.io.cwd, recipe.labels) },
      output: output === undefined ? undefined : session.locate(output),
    });
    await runSubject(session, { kind: "run", id: config.id, config }, flags, { claim });
  } finally {
    await session.close();
  }
}

/** The dataset where the command line names none. @throws TrommelError `invalid-argument` naming the variable */
function datasetOf(recipe: Recipe, env: Variables): string {
  const name = recipe.environment.input;
  const dataset = variable(name, env);
  if (dataset !== undefined) return dataset;
  throw new TrommelError(
    "invalid-argument",
    name === null
      ? "failed to train: no pictures are named. Give their <prefix>"
      : `failed to train: no pictures are named, and ${name}, from which the recipe ${recipe.name} takes them, is not set. Give their <prefix>, or set ${name}`,
  );
}

/** The label files that a recipe names by relative paths, from the command's folder. */
function pathsFrom(folder: string, { source, classes }: Recipe["labels"]): Recipe["labels"] {
  const absolute = (file: string): string => (/^[a-z0-9]+:/i.test(file) ? file : resolve(folder, file));
  const file = source.type === "csv" && source.file !== null ? { file: absolute(source.file) } : {};
  return { source: { ...source, ...file }, classes: classes === null ? null : absolute(classes) };
}

/** An environment variable that is set to something. */
function variable(name: string | null, env: Variables): string | undefined {
  const value = name === null ? undefined : env[name];
  return value === "" ? undefined : value;
}
