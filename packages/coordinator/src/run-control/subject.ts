import {
  runConfig,
  runKeys,
  scoringConfig,
  scoringKeys,
  someOf,
  TrommelError,
  type ObjectStore,
  type RunConfig,
  type ScoringConfig,
} from "@trommel/common";
import { sortingConfig, sortingKeys, type SortingConfig } from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { isAuto } from "@trommel/common/recipe";
import type { SubjectTraits } from "@trommel/common/jobs";
import { readIfThere } from "@trommel/common/store";
import { listSubjects } from "./list-subjects.js";

/** A run, scoring or sorting by its id, as the store knows it. */
export type Subject =
  | { readonly kind: "run"; readonly id: string; readonly config: RunConfig }
  | { readonly kind: "scoring"; readonly id: string; readonly config: ScoringConfig }
  | { readonly kind: "sorting"; readonly id: string; readonly config: SortingConfig };

/** What lists images and reads them. */
export type ListingSubject = Exclude<Subject, { readonly kind: "sorting" }>;

/** @throws TrommelError `not-found` naming the ids that exist */
export async function findSubject(store: ObjectStore, id: string): Promise<Subject> {
  const run = await readIfThere(store, runKeys(id).config);
  if (run !== undefined)
    return { kind: "run", id, config: parseSealedAs(runConfig, run, runKeys(id).config) };
  const scoring = await readIfThere(store, scoringKeys(id).config);
  if (scoring !== undefined) {
    return { kind: "scoring", id, config: parseSealedAs(scoringConfig, scoring, scoringKeys(id).config) };
  }
  const sorting = await readIfThere(store, sortingKeys(id).config);
  if (sorting !== undefined)
    return { kind: "sorting", id, config: parseSealedAs(sortingConfig, sorting, sortingKeys(id).config) };
  const known = (await listSubjects(store)).map((subject) => subject.id);
  throw new TrommelError(
    "not-found",
    `cannot find the run ${id} in ${store.url}: ${known.length === 0 ? "the store has no run yet" : `it has ${someOf(known)}`}. Check the id ('trommel status' lists them) and --store`,
    { context: { id } },
  );
}

/** What decides which stages a subject has. */
export function traitsOf(subject: Subject): SubjectTraits {
  if (subject.kind !== "run") return { tuned: false, measured: false, folded: false, validated: false };
  const { recipe } = subject.config;
  const folded = isAuto(recipe);
  const tuned = recipe.tune !== null;
  // A run that tunes is normalised as the run without tuning, which has measured the pixels.
  return { tuned, measured: !tuned && recipe.normalization === "dataset", folded, validated: !folded };
}
