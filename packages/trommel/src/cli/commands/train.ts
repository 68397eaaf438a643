import { TrommelError, type Recipe } from "@trommel/common";
import { resolveRun } from "@trommel/coordinator/resolve/resolve-run";
import { readRecipe } from "../recipe-flags.js";
import { runSubject, type FollowFlags } from "../run-subject.js";
import { Session, type ClusterFlags, type GlobalFlags } from "../session.js";

type TrainFlags = GlobalFlags &
  ClusterFlags &
  FollowFlags &
  Readonly<Record<string, unknown>> & { readonly run?: string; readonly output?: string };

/** `trommel train [prefix]` */
export async function train(prefix: string | undefined, flags: TrainFlags): Promise<void> {
  const session = new Session(flags);
  try {
    const recipe = await readRecipe(flags);
    const { config, claim } = await resolveRun({
      store: session.store,
      id: flags.run,
      dataset: prefix ?? datasetOf(recipe),
      recipe,
      output: flags.output ?? variable(recipe.environment.output),
    });
    await runSubject(session, { kind: "run", id: config.id, config }, flags, { claim });
  } finally {
    await session.close();
  }
}

/** The dataset where the command line names none. @throws TrommelError `invalid-argument` naming the variable */
function datasetOf(recipe: Recipe): string {
  const name = recipe.environment.input;
  const dataset = variable(name);
  if (dataset !== undefined) return dataset;
  throw new TrommelError(
    "invalid-argument",
    name === null
      ? "failed to train: no pictures are named. Give their <prefix>"
      : `failed to train: no pictures are named, and ${name}, from which the recipe ${recipe.name} takes them, is not set. Give their <prefix>, or set ${name}`,
  );
}

/** An environment variable that is set to something. */
function variable(name: string | null): string | undefined {
  const value = name === null ? undefined : process.env[name];
  return value === "" ? undefined : value;
}
