import {
  backboneId,
  bundleFiles,
  bundleManifest,
  canonicalJson,
  checkRunId,
  chooseTopK,
  featureFingerprint,
  openStore,
  parseJsonAs,
  resolveLocation,
  runConfig,
  runKeys,
  scoreFormat,
  scoringConfig,
  scoringKeys,
  sha256Hex,
  TrommelError,
  type LabelTable,
  type ObjectStore,
  type Recipe,
  type RunConfig,
  type ScoreFormat,
  type ScoringConfig,
} from "@trommel/common";
import { jsonBytes, parseSealedAs, putJsonOnce, sealedJson } from "@trommel/common/codec";
import { readBounds } from "@trommel/common/store";
import { checkClasses } from "../plan/split/choose-split.js";
import { labelsConfig, locateLabels, resolveLabels } from "../labels/resolve-labels.js";
import { checkConfig, writeConfig } from "./config-file.js";
import { defaultRunId } from "./default-run-id.js";
import { resolveBackbones } from "./resolve-backbones.js";
import { checkExport, resolveExport, takeExport } from "./resolve-export.js";

/** A run or scoring that is resolved and checked. Nothing is written until it is claimed. */
export interface Resolved<Config> {
  readonly config: Config;
  /** Writes the configuration. @throws TrommelError `conflict` if another run has the id or the output */
  readonly claim: () => Promise<void>;
}

/**
 * Resolves a request into a frozen run, `run.json`, and its labels, `labels.json`.
 * The same request under the same id is the same run; another one is refused.
 * @throws TrommelError `not-found` for a backbone or a label file, `invalid-argument` for a backbone that does not fit,
 *   `bad-dataset` for the labels, `conflict` for the id or the output
 */
export async function resolveRun(options: {
  readonly store: ObjectStore;
  /** By default it comes from the rest. */
  readonly id: string | undefined;
  readonly dataset: string;
  readonly recipe: Recipe;
  /** The location that the bundle is copied to, besides the store. */
  readonly output: string | undefined;
}): Promise<Resolved<RunConfig>> {
  const { store } = options;
  const written = options.recipe;
  const id = options.id === undefined ? undefined : checkRunId(options.id);
  const dataset = resolveLocation(options.dataset);
  refuseStoreInside(dataset, store.url);
  const output = resolveExport({ output: options.output, dataset, storeUrl: store.url });
  const specs = await resolveBackbones(store, written);
  await checkPrefix(dataset);
  const resolved = await resolveLabels(dataset, written.labels);
  if (resolved.table !== null) checkTableClasses(resolved.table);
  const recipe = { ...written, labels: locateLabels(written.labels) };
  const inputSizes = specs.map((spec) => spec.inputSize);
  const side = recipe.decode.side === "auto" ? Math.max(...inputSizes) : recipe.decode.side;
  const request = { dataset, recipe, labels: labelsConfig(resolved), export: output };
  const config: RunConfig = {
    formatVersion: 1,
    id: id ?? defaultRunId(request),
    ...request,
    backbones: specs.map((spec) => ({
      id: backboneId(spec),
      hash: spec.hash,
      dimension: spec.dimension,
      inputSize: spec.inputSize,
    })),
    side,
    fingerprint: featureFingerprint(
      recipe,
      specs.map((spec) => spec.hash),
      side,
    ),
  };
  const key = runKeys(config.id).config;
  const parse = (body: Uint8Array): RunConfig => parseSealedAs(runConfig, body, key);
  await checkConfig(store, key, config, parse);
  await checkExport(config);
  const claim = async (): Promise<void> => {
    await takeExport(config);
    await writeLabels(store, config, resolved.table);
    await writeConfig(store, key, config, parse);
  };
  return { config, claim };
}

/**
 * What the planner would refuse is refused before anything is written.
 * @throws TrommelError as checkClasses does
 */
function checkTableClasses({ labels }: LabelTable): void {
  const counts = new Map<string, number>();
  for (const [, label] of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  checkClasses([...counts.keys()], [...counts.values()]);
}

/** @throws TrommelError `conflict` if the run's id has other labels */
async function writeLabels(store: ObjectStore, config: RunConfig, table: LabelTable | null): Promise<void> {
  if (table === null) return;
  const key = runKeys(config.id).labels;
  const body = jsonBytes(table);
  if ((await putJsonOnce(store, key, body)) === "written") return;
  if (sha256Hex(await store.get(key, readBounds.dataset)) === config.labels.tableSha256) return;
  throw new TrommelError(
    "conflict",
    `cannot use the id ${config.id}: other labels stand under it (${key}). Choose another id with --run`,
    { context: { id: config.id, key } },
  );
}

/**
 * Resolves a scoring. Its id comes from what it is, so that the same command continues the same scoring.
 * @throws TrommelError `not-found` for the model, `conflict` if the output prefix holds another scoring
 */
export async function resolveScoring(options: {
  readonly store: ObjectStore;
  readonly source: string;
  readonly model: string;
  /** The start of a relative path of a model. @default the process's own folder */
  readonly folder?: string;
  readonly output: string;
  /** Labels per image; by default five, or all if there are fewer. */
  readonly topK: number | undefined;
  /** What is written; by default what the model's recipe says. `jsonl` is always among it. */
  readonly formats: readonly ScoreFormat[] | undefined;
  readonly shardSize: number;
}): Promise<Resolved<ScoringConfig>> {
  const bundle = await resolveBundle(options.store, options.model, options.folder);
  const core = {
    source: resolveLocation(options.source),
    output: resolveLocation(options.output),
    bundle: { location: bundle.location, modelSha256: bundle.modelSha256 },
    topK: chooseTopK(options.topK, bundle.labels.length),
    formats: chooseFormats(options.formats ?? bundle.formats),
    shardSize: options.shardSize,
  };
  const id = `score-${sha256Hex(canonicalJson(core)).slice(0, 12)}`;
  const config: ScoringConfig = { formatVersion: 1, id, ...core };
  refuseNested(config.source, config.output);
  await checkPrefix(config.source);
  await checkOutput(config);
  const key = scoringKeys(id).config;
  const parse = (body: Uint8Array): ScoringConfig => parseSealedAs(scoringConfig, body, key);
  const claim = async (): Promise<void> => {
    await claimOutput(config);
    await writeConfig(options.store, key, config, parse);
  };
  return { config, claim };
}

/** In the schema's order and each once, so that however they are asked for they give the same scoring. */
function chooseFormats(asked: readonly ScoreFormat[]): ScoreFormat[] {
  return scoreFormat.options.filter((format) => format === "jsonl" || asked.includes(format));
}

/** Artefacts under the dataset would be listed as pictures of a class; hidden folders such as .trommel are not. */
function refuseStoreInside(dataset: string, store: string): void {
  const root = `${dataset.replace(/\/$/, "")}/`;
  if (!`${store}/`.startsWith(root) || store.slice(root.length).startsWith(".")) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot train on ${dataset}: the store ${store} is inside it and would be taken for a class. Choose a --store outside it`,
  );
}

/** Scores under the prefix that is being listed would be listed as pictures. */
function refuseNested(source: string, output: string): void {
  if (output !== source && !output.startsWith(`${source.replace(/\/$/, "")}/`)) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot score ${source} into ${output}: the output is inside what is scored. Choose an --output outside it`,
  );
}

export interface ResolvedBundle {
  readonly location: string;
  readonly modelSha256: string;
  readonly labels: readonly string[];
  /** What its recipe has scorings write. */
  readonly formats: readonly ScoreFormat[];
}

/**
 * A model by run id or by the location of a bundle's folder.
 * @param folder the start of a relative path. @default the process's own
 */
export async function resolveBundle(
  store: ObjectStore,
  model: string,
  folder?: string,
): Promise<ResolvedBundle> {
  const isId = /^[a-z0-9][a-z0-9._-]{0,62}$/.test(model);
  if (isId && (await store.head(runKeys(model).config)) !== undefined) {
    const location = `${store.url.replace(/\/$/, "")}/${runKeys(model).bundle}`;
    return readBundle(location, `run ${model} is not complete: see 'trommel status ${model}'`);
  }
  const what = isId
    ? `there is no run ${model} in ${store.url}, and no bundle at that path`
    : "no bundle is there";
  return readBundle(resolveLocation(model, folder), what);
}

async function readBundle(location: string, ifAbsent: string): Promise<ResolvedBundle> {
  const store = openStore(location);
  try {
    const manifest = parseJsonAs(
      bundleManifest,
      await store.get(bundleFiles.manifest, readBounds.document),
      `${location}/bundle.json`,
    );
    const modelSha256 = manifest.hashes[bundleFiles.model];
    if (modelSha256 === undefined) {
      throw new TrommelError(
        "corrupt",
        `cannot read ${location}/bundle.json: it names no hash of model.onnx`,
      );
    }
    const { labels, recipe } = manifest;
    return { location, modelSha256, labels, formats: recipe.scores.formats };
  } catch (thrown) {
    if (!(thrown instanceof TrommelError) || thrown.code !== "not-found") throw thrown;
    throw new TrommelError(
      "not-found",
      `cannot open the model ${location}: ${ifAbsent}. Give --model a finished run's id or a bundle's folder`,
      { cause: thrown, context: { location } },
    );
  } finally {
    store.close();
  }
}

/** Fails early and clearly if a prefix cannot be listed at all. */
async function checkPrefix(location: string): Promise<void> {
  const store = openStore(location);
  try {
    for await (const _ of store.list("", { withUnusable: true })) return;
  } finally {
    store.close();
  }
}

const ownerKey = "_trommel/scoring.json";

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
