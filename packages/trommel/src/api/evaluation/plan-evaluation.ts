import { evaluationKeys, TrommelError } from "@trommel/common";
import type { AskedPatterns, KeyPatterns } from "@trommel/common/recipe";
import { locationOf } from "@trommel/common/store";
import {
  findEvaluatedSource,
  findScoring,
  listImages,
  matchEvaluationLabels,
  type EvaluatedSource,
  type EvaluationLabels,
  type ListedImages,
  type MatchedLabels,
} from "@trommel/coordinator/evaluation";
import { resolveBundle, resolveScoring } from "@trommel/coordinator/resolve";
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
}

/**
 * Finds the scores that an evaluation needs, and begins the scorings of those that are missing: into the store, with the
 * probability of every class, so that the same images and the same model are scored once.
 * @throws TrommelError `invalid-argument`, `not-found` for a model or labels, `bad-dataset` for the labels, `conflict` for a
 *   scoring that is not complete
 */
export async function planEvaluation(
  host: WorkHost,
  { source: text, model, compare, labels, patterns }: EvaluationRequest,
): Promise<Omit<EvaluationPlan, "bounds" | "output">> {
  const { store, options } = host.connections;
  const found = await findEvaluatedSource(store, text, options.folder);
  if (found.kind === "scoring" && patterns.include.length + patterns.exclude.length > 0)
    throw new TrommelError(
      "invalid-argument",
      `cannot evaluate ${text} by include or exclude: it is a scoring, and has its own. Give the images, or leave the patterns out`,
    );
  const bundle = await bundleFor(host, found, model);
  const own = found.kind === "scoring" ? found.config.bundle : bundle;
  const rival =
    compare === undefined ? undefined : await findRival(host, compare, { bundle: own, source: found });
  const source = found.kind === "images" ? found.location : found.config.source;
  const which = found.kind === "images" ? patterns : patternsOf(found.config);
  const isListed = found.kind === "images" || rival?.kind === "model";
  const listing = isListed ? await listImages(source, which) : undefined;
  const score = (of: Bundle): Promise<ScoresToEvaluate> =>
    scoreFor(host, { source, patterns: which, listing, bundle: of });
  const scoreRival = async (): Promise<ScoresToEvaluate | undefined> =>
    rival?.kind === "model" ? await score(rival.bundle) : rival;
  if (found.kind === "scoring" || bundle === undefined || listing === undefined) {
    const first = { location: found.location, scoring: undefined };
    return { source, first, second: await scoreRival(), labels, listed: undefined };
  }
  const matched = await matchEvaluationLabels(() => listing.keys, labels, source);
  requireKnownLabel(matched, bundle, source);
  const first = await score(bundle);
  return { source, first, second: await scoreRival(), labels, listed: { digest: listing.digest, matched } };
}

function patternsOf({ include = [], exclude = [] }: AskedPatterns): KeyPatterns {
  return { include, exclude };
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
      ? { kind: "model", bundle: await resolveBundle(store, text, options.folder) }
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
    readonly source: string;
    readonly patterns: KeyPatterns;
    readonly listing: ListedImages | undefined;
    readonly bundle: Bundle;
  },
): Promise<ScoresToEvaluate> {
  const { store } = host.connections;
  const { location: model, modelSha256, labels } = of.bundle;
  const location = locationOf(store.url, evaluationKeys(modelSha256, of.listing?.digest ?? "").scores);
  const { config, claim } = await resolveScoring({
    store,
    source: of.source,
    patterns: of.patterns,
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

/** Before anything is scored that no label could be held against. */
function requireKnownLabel(matched: MatchedLabels, bundle: Bundle, source: string): void {
  const known = new Set(bundle.labels.map((label) => label.normalize("NFC")));
  if ([...matched.labels].some((label) => known.has(label.normalize("NFC")))) return;
  const found = [...matched.labels].slice(0, 5).map((label) => JSON.stringify(label));
  throw new TrommelError(
    "bad-dataset",
    `cannot evaluate ${source}: no image has a label that the model knows (it knows ${bundle.labels.slice(0, 5).join(", ")}; the labels are ${found.length === 0 ? "none" : found.join(", ")}). Give the labels with --labels, or put the images into a folder per class`,
    { context: { source } },
  );
}
