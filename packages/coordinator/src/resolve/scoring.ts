import {
  canonicalJson,
  chooseTopK,
  openStore,
  parseAs,
  resolveLocation,
  scoreFormat,
  scoringConfig,
  scoringKeys,
  sha256Hex,
  TrommelError,
  type BundleManifest,
  type ObjectStore,
  type ScoreFormat,
  type ScoringConfig,
} from "@trommel/common";
import {
  acceptanceOf,
  servedEmbedding,
  type AskedAcceptance,
  type ScoredEmbeddings,
} from "@trommel/common/artefacts";
import { parseSealedAs, putJsonOnce, sealedJson } from "@trommel/common/codec";
import { keyPatterns, type AskedPatterns } from "@trommel/common/recipe";
import { locationOf, partInside, readBounds } from "@trommel/common/store";
import { resolveBundle } from "./bundle.js";
import { resolveFeaturesOf } from "./features-of.js";
import { writeConfig, type Resolved } from "./config-file.js";
import { resolveSource, type AskedArchives, type AskedManifest } from "./resolve-source.js";
import { whyStoreItself } from "./inside-store.js";

/**
 * Resolves a scoring. Its id comes from what it is, so that the same command continues the same scoring.
 * @throws TrommelError `not-found` for the model, `conflict` if the output prefix holds another scoring, `invalid-argument`
 *   for an output inside the source, or among the store's own files
 */
export async function resolveScoring(options: {
  readonly store: ObjectStore;
  /** A prefix; undefined for a manifest of whole locations, and with `featuresOf`. */
  readonly source: string | undefined;
  readonly manifest?: AskedManifest | undefined;
  readonly archives?: AskedArchives | undefined;
  readonly model: string;
  /** The start of a relative path of a model. @default the process's own folder */
  readonly folder?: string;
  readonly output: string;
  /** Labels per image; by default five, or all if there are fewer. */
  readonly topK: number | undefined;
  /** What is written; by default what the model's recipe says. `jsonl` is always among it. */
  readonly formats: readonly ScoreFormat[] | undefined;
  readonly shardSize: number;
  /** Which keys are scored. @default all */
  readonly patterns?: AskedPatterns;
  /** The run whose stored features are scored: its pictures are the source, and are not read. @default pictures are */
  readonly featuresOf?: string | undefined;
  /** What part of the listing is scored. @default all of it */
  readonly part?: AskedPart;
  /** Whether CSV keeps spreadsheets from computing texts. @default false */
  readonly spreadsheetSafe?: boolean | undefined;
  /** A vector that each row has besides. @default none */
  readonly embeddings?: AskedEmbeddings | undefined;
  /** What makes an image `unknown`. @default nothing */
  readonly asked?: AskedAcceptance;
  /** Whether the output is the store's own place for the scores of an evaluation. */
  readonly forEvaluation?: boolean;
}): Promise<Resolved<ScoringConfig>> {
  const bundle = await resolveBundle(options.store, options.model, options.folder);
  const asked = options.asked ?? {};
  const { unknownAbove, minProbability } = asked;
  acceptanceOf(asked, bundle.manifest, bundle.location);
  const formats = chooseFormats(options.formats ?? bundle.formats);
  const stored =
    options.featuresOf === undefined
      ? undefined
      : await resolveFeaturesOf(options.store, options.featuresOf, bundle.manifest);
  if (stored !== undefined) refuseWithFeatures(options);
  const output = resolveLocation(options.output);
  if (options.forEvaluation !== true) refuseStoreItself(output, options.store.url);
  const { location, from } =
    stored === undefined
      ? await resolveSource(
          { prefix: options.source, manifest: options.manifest, archives: options.archives },
          { labels: false, reserved: scoreFields },
        )
      : { location: stored.dataset, from: undefined };
  const shardSize = stored?.recipe.shardSize ?? options.shardSize;
  const core = {
    source: location,
    // What a manifest carries comes from its rows, which may grow: the scoring stays the same.
    ...(from === undefined ? {} : { from: from.type === "manifest" ? { ...from, columns: [] } : from }),
    output,
    bundle: { location: bundle.location, modelSha256: bundle.modelSha256 },
    topK: chooseTopK(options.topK, bundle.labels.length),
    formats,
    shardSize,
    ...patternsOf(options.patterns ?? {}),
    // Absent where nothing is asked: a scoring's id comes from all that is here.
    ...(unknownAbove === undefined ? {} : { unknownAbove }),
    ...(minProbability === undefined ? {} : { minProbability }),
    ...partOf(options.part ?? {}),
    ...safetyOf(options.spreadsheetSafe, formats),
    ...embeddingsOf(options.embeddings ?? {}, { formats, shardSize, manifest: bundle.manifest }),
    ...(stored === undefined ? {} : { featuresOf: { run: stored.id, fingerprint: stored.fingerprint } }),
  };
  const id = `score-${sha256Hex(canonicalJson(core)).slice(0, 12)}`;
  const config: ScoringConfig = { formatVersion: 1, id, ...core, ...(from === undefined ? {} : { from }) };
  if (options.forEvaluation === true) {
    refuseStoreInside(config.source, options.store.url);
  } else if (from === undefined || (from.type === "archives" && from.object === null)) {
    refuseNested(config.source, config.output);
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

/** Fields of a row of scores, in any format. */
const scoreFields = [
  ...["key", "id", "label", "result", "probability", "top", "probabilities", "novelty", "likeliest"],
  ...["embedding", "embeddings", "error"],
];

/** @throws TrommelError `invalid-argument` for an illegal pattern */
function patternsOf(given: AskedPatterns): Pick<ScoringConfig, "include" | "exclude"> {
  const parse = (of: AskedPatterns["include"], flag: string): string[] =>
    parseAs(keyPatterns, of ?? [], `the patterns of ${flag}`);
  const [include, exclude] = [parse(given.include, "--include"), parse(given.exclude, "--exclude")];
  return { ...(include.length === 0 ? {} : { include }), ...(exclude.length === 0 ? {} : { exclude }) };
}

/** @throws TrommelError `invalid-argument` for what says which pictures are listed */
function refuseWithFeatures(options: {
  readonly source: string | undefined;
  readonly manifest?: AskedManifest | undefined;
  readonly archives?: AskedArchives | undefined;
  readonly patterns?: AskedPatterns;
  readonly part?: AskedPart;
}): void {
  const { include, exclude } = options.patterns ?? {};
  const { limit, sample } = options.part ?? {};
  const given = {
    "a prefix": options.source,
    "--manifest": options.manifest,
    "--archives": options.archives,
    "--include": include,
    "--exclude": exclude,
    "--limit": limit,
    "--sample": sample,
  };
  const found = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (found.length === 0) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot score stored features (--features-of) with ${found.join(", ")}: the run has listed its pictures, and all of them are scored. Leave it out`,
  );
}

/** A part of a listing: its first images, or a sample of them. */
export interface AskedPart {
  readonly limit?: number | undefined;
  /** So many images, drawn by a hash of (seed, key). */
  readonly sample?: number | undefined;
  /** @default 0 */
  readonly seed?: number | undefined;
}

/** @throws TrommelError `invalid-argument` for both, or a seed without a sample */
function partOf({ limit, sample, seed }: AskedPart): Pick<ScoringConfig, "limit" | "sample"> {
  if (limit !== undefined && sample !== undefined) {
    throw new TrommelError(
      "invalid-argument",
      `cannot score the first ${limit} images (--limit) and a sample of ${sample} (--sample): a scoring has one part. Give one of them`,
    );
  }
  if (seed !== undefined && sample === undefined) {
    throw new TrommelError(
      "invalid-argument",
      `cannot use --seed ${seed}: it draws a --sample, and none is asked for. Give --sample, or leave it out`,
    );
  }
  return {
    ...(limit === undefined ? {} : { limit }),
    ...(sample === undefined ? {} : { sample: { images: sample, seed: seed ?? 0 } }),
  };
}

function safetyOf(
  asked: boolean | undefined,
  formats: readonly ScoreFormat[],
): Pick<ScoringConfig, "spreadsheetSafe"> {
  if (asked !== true) return {};
  if (formats.includes("csv")) return { spreadsheetSafe: true };
  throw new TrommelError(
    "invalid-argument",
    "cannot use --spreadsheet-safe: it is about CSV, and this scoring writes none. Add --format csv, or leave it out",
  );
}

/** A part is written and checked whole: some 100 MiB of JSON lines. */
const numbersPerPart = 2 ** 23;

/** The embeddings that are asked for. */
export interface AskedEmbeddings {
  /** @default none */
  readonly vector?: ScoredEmbeddings["vector"] | undefined;
  /** @default "f32" */
  readonly type?: ScoredEmbeddings["type"] | undefined;
}

/** @throws TrommelError `invalid-argument` with CSV, for a type without a vector, and for parts that would be too large; `unsupported` for what the model does not have */
function embeddingsOf(
  { vector, type }: AskedEmbeddings,
  {
    formats,
    shardSize,
    manifest,
  }: {
    readonly formats: readonly ScoreFormat[];
    readonly shardSize: number;
    readonly manifest: BundleManifest;
  },
): Pick<ScoringConfig, "embeddings"> {
  if (vector === undefined) {
    if (type === undefined) return {};
    throw new TrommelError(
      "invalid-argument",
      `cannot use --embeddings-type ${type}: it is the type of --embeddings, and none are asked for. Give --embeddings raw or projected, or leave it out`,
    );
  }
  if (formats.includes("csv")) {
    throw new TrommelError(
      "invalid-argument",
      `cannot write the ${vector} embeddings into CSV: they are lists of numbers. Leave csv out of --format; jsonl and parquet have them`,
    );
  }
  const { dimension } = servedEmbedding(manifest, { vector });
  if (dimension * shardSize > numbersPerPart)
    throw new TrommelError(
      "invalid-argument",
      `cannot write embeddings of ${dimension} numbers into parts of ${shardSize} images: a part holds at most ${numbersPerPart} numbers. Give --shard-size ${Math.floor(numbersPerPart / dimension)} or less`,
    );
  return { embeddings: { vector, type: type ?? "f32" } };
}

/** In the schema's order and each once, so that however they are asked for they give the same scoring. */
function chooseFormats(asked: readonly ScoreFormat[]): ScoreFormat[] {
  return scoreFormat.options.filter((format) => format === "jsonl" || asked.includes(format));
}

/** Scores under the prefix that is being listed would be listed as images. */
function refuseNested(source: string, output: string): void {
  if (partInside(source, output) === undefined) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot score ${source} into ${output}: the output is inside what is scored. Choose an --output outside it`,
  );
}

/** Artefacts under the source would be scored as images; hidden folders such as .trommel are not. */
function refuseStoreInside(source: string, storeUrl: string): void {
  const inside = partInside(source, storeUrl);
  if (inside === undefined || inside.startsWith(".")) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot evaluate ${source}: the store ${storeUrl} is inside it and would be taken for images. Choose a --store outside it`,
  );
}

function refuseStoreItself(output: string, storeUrl: string): void {
  const why = whyStoreItself(output, storeUrl);
  if (why === undefined) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot score into ${output}: ${why}. Choose another --output, such as ${locationOf(storeUrl, "scores")}`,
    { context: { output } },
  );
}

/** In the output of a scoring: which one it is. */
export const ownerKey = "_trommel/scoring.json";

async function claimOutput(config: ScoringConfig): Promise<void> {
  const output = openStore(config.output);
  const body = sealedJson(config);
  try {
    if ((await putJsonOnce(output, ownerKey, body)) === "exists")
      requireOwner(config, await output.get(ownerKey, readBounds.document));
  } finally {
    output.close();
  }
}

/** Refuses a taken output before anything is started for it. */
async function checkOutput(config: ScoringConfig): Promise<void> {
  const output = openStore(config.output);
  try {
    if ((await output.head(ownerKey)) !== undefined)
      requireOwner(config, await output.get(ownerKey, readBounds.document));
  } finally {
    output.close();
  }
}

function requireOwner(config: ScoringConfig, body: Uint8Array): void {
  const owner = parseSealedAs(scoringConfig, body, `${config.output}/${ownerKey}`);
  if (owner.id === config.id) return;
  throw new TrommelError(
    "conflict",
    `cannot score into ${config.output}: it holds scoring ${owner.id} of ${owner.source} by ${owner.bundle.location}. Choose another --output`,
    { context: { output: config.output, owner: owner.id } },
  );
}
