import { evaluationKeys, someOf, TrommelError, type ObjectStore, type ScoringConfig } from "@trommel/common";
import type { KeyPatterns } from "@trommel/common/recipe";
import { locationOf } from "@trommel/common/store";
import {
  findEvaluatedSource,
  findScoring,
  imagesOfScoring,
  listImages,
  matchEvaluationLabels,
  resolveSource,
  type EvaluatedSource,
  type EvaluationLabels,
  type ListedImages,
  type MatchedLabels,
  type ScoredImages,
  type SourcePlace,
} from "@trommel/coordinator/evaluation";
import {
  resolveBundle,
  resolveScoring,
  type AskedArchives,
  type AskedManifest,
} from "@trommel/coordinator/resolve";
import { Scoring } from "../../run.js";
import type { WorkHost } from "../work.js";
import type { EvaluationPlan, ScoresToEvaluate } from "./evaluation.js";

type Bundle = Awaited<ReturnType<typeof resolveBundle>>;

export interface EvaluationRequest {
  /** A prefix of images, the id of a scoring or the location of its output. */
  readonly source: string;
  /** Id of a run or location of a bundle; undefined if the source is a scoring. */
  readonly model: string | undefined;
  /** The same, or a scoring of the same images. */
  readonly compare: string | undefined;
  readonly labels: EvaluationLabels;
  /** Which images of a prefix. */
  readonly patterns: KeyPatterns;
  /** Whether the objects under the prefix are archives. @default if the prefix is one archive */
  readonly archives: AskedArchives | undefined;
}

/**
 * Finds the scores that an evaluation needs, and begins the scorings of those that are missing: into the store, with the
 * probability of every class, so that the same images and the same model are scored once.
 * @throws TrommelError `invalid-argument`, `not-found` for a model or labels, `bad-dataset` for the labels, `conflict` for a
 *   scoring that is not complete
 */
export async function planEvaluation(
  host: WorkHost,
  { source: text, model, compare, labels, patterns, archives }: EvaluationRequest,
): Promise<Omit<EvaluationPlan, "bounds" | "output">> {
  const { store, options } = host.connections;
  const found = await findEvaluatedSource(store, text, options.folder);
  const selects = patterns.include.length + patterns.exclude.length > 0;
  if (found.kind === "scoring" && (selects || archives !== undefined))
    throw new TrommelError(
      "invalid-argument",
      `cannot evaluate ${text} by ${selects ? "include or exclude" : "archives"}: it is a scoring, and has its own. Give the images, or leave the ${selects ? "patterns" : "flag"} out`,
    );
  const bundle = await bundleFor(host, found, model);
  const own = found.kind === "scoring" ? found.config.bundle : bundle;
  const rival =
    compare === undefined ? undefined : await findRival(host, compare, { bundle: own, source: found });
  const toScore = rival?.kind === "model";
  const images = await imagesOf(store, found, { patterns, archives, toScore });
  const listing =
    found.kind === "images" || toScore ? await listImages(images.place, images.selection) : undefined;
  const score = (of: Bundle): Promise<ScoresToEvaluate> => scoreFor(host, { images, listing, bundle: of });
  const scoreRival = async (): Promise<ScoresToEvaluate | undefined> =>
    rival?.kind === "model" ? await score(rival.bundle) : rival;
  const source = images.place.location;
  const { from } = images.place;
  if (found.kind === "scoring" || bundle === undefined || listing === undefined) {
    const first = { location: found.location, scoring: undefined };
    return { source, from, first, second: await scoreRival(), labels, listed: undefined };
  }
  const { keys, digest } = listing;
  const matched = await matchEvaluationLabels(
    { keysOf: () => keys, from, own: listing.labels, place: source },
    labels,
  );
  requireKnownLabel(matched, bundle, source);
  const first = await score(bundle);
  return { source, from, first, second: await scoreRival(), labels, listed: { digest, matched } };
}

async function imagesOf(
  store: ObjectStore,
  found: EvaluatedSource,
  { patterns, archives, toScore }: Pick<EvaluationRequest, "patterns" | "archives"> & { toScore: boolean },
): Promise<ScoredImages> {
  if (found.kind === "scoring") return imagesOfScoring(store, found.config, { toScore });
  return {
    place: await resolveSource({ prefix: found.location, archives }, { labels: true }),
    selection: patterns,
  };
}

/** The model of a source; of a scoring it is known, and one that is given must be the same. */
async function bundleFor(
  { connections: { store, options } }: WorkHost,
  source: EvaluatedSource,
  model: string | undefined,
): Promise<Bundle | undefined> {
  if (model === undefined) {
    if (source.kind === "scoring") return undefined;
    throw new TrommelError(
      "invalid-argument",
      `cannot evaluate ${source.location}: no scoring is there, and no model is named that could score it. Give a --model`,
    );
  }
  const bundle = await resolveBundle(store, model, options.folder);
  if (source.kind === "images" || source.config.bundle.modelSha256 === bundle.modelSha256) return bundle;
  throw new TrommelError(
    "invalid-argument",
    `cannot evaluate ${source.location} as scores of ${model}: they are of ${source.config.bundle.location}. Leave --model out, or give the images`,
  );
}

/** What is known of the model of scores: {@link Bundle} has more. */
type ScoredBundle = Pick<Bundle, "modelSha256">;

/** What is compared with: scores that are there, or a model that has to score the same images. */
type Rival =
  | ({ readonly kind: "model" } & { readonly bundle: Bundle })
  | ({ readonly kind: "scores" } & ScoresToEvaluate);

const compareAdvice =
  "Give --compare a finished run or scoring by its id, a scoring's output or a bundle's folder";

/**
 * Two finished scorings of the same model may be compared: one may have called images unknown.
 * @throws TrommelError `invalid-argument` for the model itself or the same scoring, `not-found`
 */
async function findRival(
  { connections: { store, options } }: WorkHost,
  text: string,
  first: { readonly bundle: ScoredBundle | undefined; readonly source: EvaluatedSource },
): Promise<Rival> {
  const scoring = await findScoring(store, text, options.folder, "evaluate");
  const rival: Rival =
    scoring === undefined
      ? { kind: "model", bundle: await resolveBundle(store, text, options.folder, compareAdvice) }
      : { kind: "scores", location: scoring.location, scoring: undefined };
  const other = rival.kind === "model" ? rival.bundle : scoring?.config.bundle;
  if (other?.modelSha256 !== first.bundle?.modelSha256) return rival;
  if (first.source.kind !== "scoring" || scoring === undefined) {
    throw new TrommelError(
      "invalid-argument",
      `cannot compare with ${text}: it is the same model. Give another one, or two finished scorings of it`,
    );
  }
  if (first.source.config.id === scoring.config.id) {
    throw new TrommelError(
      "invalid-argument",
      `cannot compare with ${text}: it is the same scoring. Give another one`,
    );
  }
  return rival;
}

/** Begins the scoring of images into the store, with every class in its rows. One that is finished or runs is found. */
async function scoreFor(
  host: WorkHost,
  of: {
    readonly images: ScoredImages;
    readonly listing: ListedImages | undefined;
    readonly bundle: Bundle;
  },
): Promise<ScoresToEvaluate> {
  const { store } = host.connections;
  const { location: model, modelSha256, labels } = of.bundle;
  const location = locationOf(store.url, evaluationKeys(modelSha256, of.listing?.digest ?? "").scores);
  const { include, exclude, limit, sample } = of.images.selection;
  const { config, claim } = await resolveScoring({
    store,
    ...askedAs(of.images.place),
    patterns: { include, exclude },
    part: { limit, sample: sample?.images, seed: sample?.seed },
    model,
    output: location,
    topK: labels.length,
    formats: ["jsonl"],
    forEvaluation: true,
  });
  const scoring = new Scoring(host, { kind: "scoring", id: config.id, config });
  await scoring.begin({ claim });
  return { location, scoring };
}

/** How a call asks for a source that is resolved. */
function askedAs({ location, from }: SourcePlace): {
  readonly source: ScoringConfig["source"] | undefined;
  readonly manifest?: AskedManifest;
  readonly archives?: AskedArchives;
} {
  if (from === undefined) return { source: location };
  if (from.type === "manifest") {
    const { location: table, keyColumn, labelColumn } = from;
    return {
      source: from.hasPrefix ? location : undefined,
      manifest: { location: table, keyColumn, labelColumn: labelColumn ?? undefined },
    };
  }
  return {
    source: from.object === null ? location : locationOf(location, from.object),
    archives: {
      imageColumn: from.imageColumn ?? undefined,
      keyColumn: from.keyColumn ?? undefined,
      labelColumn: from.labelColumn ?? undefined,
    },
  };
}

/** Before anything is scored that no label could be held against. */
function requireKnownLabel(matched: MatchedLabels, bundle: Bundle, source: string): void {
  const known = new Set(bundle.labels.map((label) => label.normalize("NFC")));
  if ([...matched.labels].some((label) => known.has(label.normalize("NFC")))) return;
  const found = [...matched.labels].map((label) => JSON.stringify(label));
  throw new TrommelError(
    "bad-dataset",
    `cannot evaluate ${source}: no image has a label that the model knows (it knows ${someOf(bundle.labels)}; the labels are ${found.length === 0 ? "none" : someOf(found)}). Give the labels with --labels, or put the images into a folder per class`,
    { context: { source } },
  );
}
