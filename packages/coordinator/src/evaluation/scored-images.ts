import { TrommelError, type ObjectStore, type ScoringConfig } from "@trommel/common";
import { findRunConfig } from "../retry/retry-chain.js";
import { placeOf, type SourcePlace } from "../sources/open-source.js";
import type { ImageSelection } from "./listed-images.js";

/** The place of the images of a scoring, and which of them it has. */
export interface ScoredImages {
  readonly place: SourcePlace;
  readonly selection: ImageSelection;
}

/**
 * What a scoring has scored. One of stored features has the images of its run, whose manifest, archives and patterns it does not repeat.
 * @param options.toScore whether another model is to score them. If not, a scoring of a run that is gone has its prefix alone
 * @throws TrommelError `not-found` where that run is gone
 */
export async function imagesOfScoring(
  store: ObjectStore,
  scoring: ScoringConfig,
  { toScore }: { readonly toScore: boolean },
): Promise<ScoredImages> {
  const { limit, sample, featuresOf } = scoring;
  const run = featuresOf === undefined ? undefined : await findRunConfig(store, featuresOf.run);
  if (run !== undefined) {
    const { include, exclude } = run.recipe;
    return { place: placeOf(run), selection: { include, exclude } };
  }
  if (featuresOf !== undefined && toScore)
    throw new TrommelError(
      "not-found",
      `cannot score the images of ${scoring.id} by another model: they are those of ${featuresOf.run}, which ${store.url} does not have any more. Give the images, or compare with a finished scoring`,
      { context: { id: scoring.id, run: featuresOf.run } },
    );
  const { include = [], exclude = [] } = scoring;
  return {
    place: placeOf(scoring),
    selection: {
      ...{ include, exclude },
      ...(limit === undefined ? {} : { limit }),
      ...(sample === undefined ? {} : { sample }),
    },
  };
}
