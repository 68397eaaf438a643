import {
  canonicalJson,
  chooseTopK,
  resolveLocation,
  scoringConfig,
  scoringKeys,
  sha256Hex,
  type ObjectStore,
  type ScoreFormat,
  type ScoringConfig,
} from "@trommel/common";
import { acceptanceOf, type AskedAcceptance } from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { resolveBundle } from "../bundle.js";
import { writeConfig, type Resolved } from "../config-file.js";
import { chooseFormats, embeddingsOf, safetyOf, type AskedEmbeddings } from "./asked-options.js";
import { resolveImages, type AskedImages } from "./scored-images.js";
import { resolveFeaturesOf } from "./features-of.js";
import {
  checkOutput,
  claimOutput,
  refuseNested,
  refuseStoreInside,
  refuseStoreItself,
} from "./output-claim.js";
import { resolveRescored } from "./rescored.js";

interface ScoringRequest extends AskedImages {
  readonly store: ObjectStore;
  readonly model: string;
  /** The start of a relative path of a model. @default the process's own folder */
  readonly folder?: string;
  readonly output: string;
  /** Labels per image; by default five, or all if there are fewer. */
  readonly topK: number | undefined;
  /** What is written; by default what the model's recipe says. `jsonl` is always among it. */
  readonly formats: readonly ScoreFormat[] | undefined;
  /** The run whose stored features are scored: its pictures are the source, and are not read. @default pictures are */
  readonly featuresOf?: string | undefined;
  /** The id or output of a finished scoring whose images are scored, and whose labels these are compared with. @default none */
  readonly rescore?: string | undefined;
  /** Whether CSV keeps spreadsheets from computing texts. @default false */
  readonly spreadsheetSafe?: boolean | undefined;
  /** A vector that each row has besides. @default none */
  readonly embeddings?: AskedEmbeddings | undefined;
  /** What makes an image `unknown`. @default nothing */
  readonly asked?: AskedAcceptance;
  /** Whether the output is the store's own place for the scores of an evaluation. */
  readonly forEvaluation?: boolean;
}

/**
 * Resolves a scoring. Its id comes from what it is, so that the same command continues the same scoring.
 * @throws TrommelError `not-found` for the model, `conflict` if the output prefix holds another scoring, `invalid-argument`
 *   for an output inside the source, or among the store's own files
 */
export async function resolveScoring(options: ScoringRequest): Promise<Resolved<ScoringConfig>> {
  const bundle = await resolveBundle(options.store, options.model, options.folder);
  const asked = options.asked ?? {};
  const { unknownAbove, minProbability } = asked;
  acceptanceOf(asked, bundle.manifest, bundle.location);
  const formats = chooseFormats(options.formats ?? bundle.formats);
  const stored =
    options.featuresOf === undefined
      ? undefined
      : await resolveFeaturesOf(options.store, options.featuresOf, bundle.manifest);
  const earlier =
    options.rescore === undefined ? undefined : await resolveRescored(options, options.rescore, bundle);
  const output = resolveLocation(options.output);
  if (options.forEvaluation !== true) refuseStoreItself(output, options.store.url);
  const { from, ...images } = await resolveImages(options, stored, earlier);
  const core = {
    // What a manifest carries comes from its rows, which may grow: the scoring stays the same.
    ...(from === undefined ? {} : { from: from.type === "manifest" ? { ...from, columns: [] } : from }),
    // Absent where nothing is asked: a scoring's id comes from all that is here.
    ...images,
    output,
    bundle: { location: bundle.location, modelSha256: bundle.modelSha256 },
    topK: chooseTopK(options.topK, bundle.labels.length),
    formats,
    ...(unknownAbove === undefined ? {} : { unknownAbove }),
    ...(minProbability === undefined ? {} : { minProbability }),
    ...safetyOf(options.spreadsheetSafe, formats),
    ...embeddingsOf(options.embeddings ?? {}, {
      formats,
      shardSize: images.shardSize,
      featuresOf: stored?.id,
      manifest: bundle.manifest,
    }),
    ...(stored === undefined ? {} : { featuresOf: { run: stored.id, fingerprint: stored.fingerprint } }),
    ...(earlier === undefined ? {} : { rescoreOf: { scoring: earlier.id, output: earlier.output } }),
  };
  const id = `score-${sha256Hex(canonicalJson(core)).slice(0, 12)}`;
  const config: ScoringConfig = { formatVersion: 1, id, ...core, ...(from === undefined ? {} : { from }) };
  // A manifest and a single archive list nothing else under the prefix.
  if (from === undefined || (from.type === "archives" && from.object === null)) {
    if (options.forEvaluation === true) refuseStoreInside(config.source, options.store.url);
    else refuseNested(config.source, config.output);
  }
  await checkOutput(config);
  const key = scoringKeys(id).config;
  const parse = (body: Uint8Array): ScoringConfig => parseSealedAs(scoringConfig, body, key);
  const claim = async (): Promise<void> => {
    await claimOutput(config);
    await writeConfig(options.store, key, config, parse);
  };
  return { config, claim };
}
