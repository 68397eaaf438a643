import { basename } from "node:path";
import { canonicalJson, resolveLocation, sha256Hex } from "@trommel/common";
import { resolveRun } from "../../run-control/resolve-run.js";
import { readRecipe } from "../recipe-flags.js";
import { runSubject, type FollowFlags } from "../run-subject.js";
import { Session, type ClusterFlags, type GlobalFlags } from "../session.js";

type TrainFlags = GlobalFlags &
  ClusterFlags &
  FollowFlags &
  Readonly<Record<string, unknown>> & { readonly run?: string };

/** `trommel train <prefix>` */
export async function train(prefix: string, flags: TrainFlags): Promise<void> {
  const session = new Session(flags);
  try {
    const recipe = await readRecipe(flags);
    const recipeName =
      typeof flags["recipe"] === "string" ? `the recipe ${flags["recipe"]}` : "the recipe of the flags";
    const dataset = resolveLocation(prefix);
    const id = flags.run ?? defaultRunId(dataset, recipe);
    const { config, claim } = await resolveRun({ store: session.store, id, dataset, recipe, recipeName });
    await runSubject(session, { kind: "run", id: config.id, config }, flags, claim);
  } finally {
    await session.close();
  }
}

/** The same command without --run names the same run. */
function defaultRunId(dataset: string, recipe: unknown): string {
  const name = basename(decodeURIComponent(dataset))
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 40);
  const hash = sha256Hex(canonicalJson({ dataset, recipe })).slice(0, 8);
  return name === "" ? `run-${hash}` : `${name}-${hash}`;
}
