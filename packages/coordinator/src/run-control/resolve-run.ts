import {
  backboneId,
  bundleFiles,
  bundleManifest,
  canonicalJson,
  checkRunId,
  chooseTopK,
  featureFingerprint,
  openStore,
  parseAs,
  parseJsonAs,
  recipe as recipeSchema,
  resolveBackbone,
  resolveLocation,
  runConfig,
  runKeys,
  scoreFormat,
  scoringConfig,
  scoringKeys,
  sha256Hex,
  TrommelError,
  type ObjectStore,
  type RecipeInput,
  type RunConfig,
  type ScoreFormat,
  type ScoringConfig,
} from "@trommel/common";

/** A run or scoring that is resolved and checked, and not yet written: nothing stands until it is claimed. */
export interface Resolved<Config> {
  readonly config: Config;
  /** Writes the configuration. @throws TrommelError `conflict` where another has taken the id or the output */
  readonly claim: () => Promise<void>;
}

/**
 * Resolves what a person asked for into a frozen run, `run.json`.
 * The same request under the same id is the same run; another one is refused.
 * @throws TrommelError `not-found` for a backbone, `invalid-argument` for the recipe, `conflict` for the id
 */
export async function resolveRun(options: {
  readonly store: ObjectStore;
  readonly id: string;
  readonly dataset: string;
  readonly recipe: RecipeInput;
  /** Where it came from, for messages. */
  readonly recipeName: string;
}): Promise<Resolved<RunConfig>> {
  const { store } = options;
  const recipe = parseAs(recipeSchema, options.recipe, options.recipeName);
  const specs = [];
  for (const { name } of recipe.backbones) specs.push(await resolveBackbone(store, name));
  const inputSizes = specs.map((spec) => spec.inputSize);
  const side = recipe.decode.side === "auto" ? Math.max(...inputSizes) : recipe.decode.side;
  const config: RunConfig = {
    formatVersion: 1,
    id: checkRunId(options.id),
    dataset: resolveLocation(options.dataset),
    recipe,
    labels: { classes: null, tableSha256: null },
    export: null,
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
  refuseStoreInside(config.dataset, store.url);
  await checkPrefix(config.dataset);
  const key = runKeys(config.id).config;
  const parse = (body: Uint8Array): RunConfig => parseJsonAs(runConfig, body, key);
  await checkConfig(store, key, config, parse);
  return { config, claim: () => writeConfig(store, key, config, parse) };
}

/**
 * Resolves a scoring. Its id comes from what it is, so that the same command continues the same scoring.
 * @throws TrommelError `not-found` for the model, `conflict` where the output prefix holds another scoring
 */
export async function resolveScoring(options: {
  readonly store: ObjectStore;
  readonly source: string;
  readonly model: string;
  readonly output: string;
  /** Labels per row; by default five, or all where there are fewer. */
  readonly topK: number | undefined;
  /** What is written; by default what the model's recipe says. `jsonl` is always among it. */
  readonly formats: readonly ScoreFormat[] | undefined;
  readonly shardSize: number;
}): Promise<Resolved<ScoringConfig>> {
  const bundle = await resolveBundle(options.store, options.model);
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
  const parse = (body: Uint8Array): ScoringConfig => parseJsonAs(scoringConfig, body, key);
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
    `failed to train on ${dataset}: the store ${store} is inside it and would be taken for a class. Choose a --store beside it`,
  );
}

/** Scores under the prefix that is being listed would be listed as pictures. */
function refuseNested(source: string, output: string): void {
  if (output !== source && !output.startsWith(`${source.replace(/\/$/, "")}/`)) return;
  throw new TrommelError(
    "invalid-argument",
    `failed to score ${source} into ${output}: the output is inside what is scored. Choose an --output beside it`,
  );
}

export interface ResolvedBundle {
  readonly location: string;
  readonly modelSha256: string;
  readonly labels: readonly string[];
  /** What its recipe has scorings write. */
  readonly formats: readonly ScoreFormat[];
}

/** A model by run id or by the location of a bundle's folder. */
export async function resolveBundle(store: ObjectStore, model: string): Promise<ResolvedBundle> {
  const isId = /^[a-z0-9][a-z0-9._-]{0,62}$/.test(model);
  if (isId && (await store.head(runKeys(model).config)) !== undefined) {
    const location = `${store.url.replace(/\/$/, "")}/${runKeys(model).bundle}`;
    return readBundle(location, `run ${model} is not complete: see 'trommel status ${model}'`);
  }
  const what = isId
    ? `there is no run ${model} in ${store.url}, and no bundle at that path`
    : "no bundle is there";
  return readBundle(resolveLocation(model), what);
}

async function readBundle(location: string, ifAbsent: string): Promise<ResolvedBundle> {
  const store = openStore(location);
  try {
    const manifest = parseJsonAs(
      bundleManifest,
      await store.get(bundleFiles.manifest),
      `${location}/bundle.json`,
    );
    const modelSha256 = manifest.hashes[bundleFiles.model];
    if (modelSha256 === undefined) {
      throw new TrommelError(
        "corrupt",
        `failed to read ${location}/bundle.json: it names no hash of model.onnx`,
      );
    }
    const { labels, recipe } = manifest;
    return { location, modelSha256, labels, formats: recipe.scores.formats };
  } catch (thrown) {
    if (!(thrown instanceof TrommelError) || thrown.code !== "not-found") throw thrown;
    throw new TrommelError(
      "not-found",
      `failed to open the model ${location}: ${ifAbsent}. Give --model a finished run's id or a bundle's folder`,
      { cause: thrown, context: { location } },
    );
  } finally {
    store.close();
  }
}

/** Fails early and clearly where a prefix cannot be listed at all. */
async function checkPrefix(location: string): Promise<void> {
  const store = openStore(location);
  try {
    for await (const _ of store.list("")) return;
  } finally {
    store.close();
  }
}

const ownerKey = "_trommel/scoring.json";

async function claimOutput(config: ScoringConfig): Promise<void> {
  const output = openStore(config.output);
  const body = Buffer.from(canonicalJson(config), "utf8");
  try {
    const options = { ifAbsent: true, contentType: "application/json" };
    if ((await output.put(ownerKey, body, options)) === "exists")
      requireOwner(config, await output.get(ownerKey));
  } finally {
    output.close();
  }
}

/** Refuses a taken output before anything is started for it. */
async function checkOutput(config: ScoringConfig): Promise<void> {
  const output = openStore(config.output);
  try {
    if ((await output.head(ownerKey)) !== undefined) requireOwner(config, await output.get(ownerKey));
  } finally {
    output.close();
  }
}

function requireOwner(config: ScoringConfig, body: Uint8Array): void {
  const owner = parseJsonAs(scoringConfig, body, `${config.output}/${ownerKey}`);
  if (owner.id === config.id) return;
  throw new TrommelError(
    "conflict",
    `failed to score into ${config.output}: it holds scoring ${owner.id} of ${owner.source} by ${owner.bundle.location}. Choose another --output`,
    { context: { output: config.output, owner: owner.id } },
  );
}

/** Writes a configuration once; under an old name only the same one is accepted. */
async function writeConfig<T extends { readonly id: string }>(
  store: ObjectStore,
  key: string,
  config: T,
  parse: (body: Uint8Array) => T,
): Promise<void> {
  const body = Buffer.from(canonicalJson(config), "utf8");
  if ((await store.put(key, body, { ifAbsent: true, contentType: "application/json" })) === "written") return;
  await checkConfig(store, key, config, parse);
}

/** @throws TrommelError `conflict` where the key holds another configuration */
async function checkConfig<T extends { readonly id: string }>(
  store: ObjectStore,
  key: string,
  config: T,
  parse: (body: Uint8Array) => T,
): Promise<void> {
  if ((await store.head(key)) === undefined) return;
  const existing = parse(await store.get(key));
  if (canonicalJson(existing) === canonicalJson(config)) return;
  const fields = differingFields(existing, config);
  throw new TrommelError(
    "conflict",
    `failed to use the id ${config.id}: it belongs to another configuration (they differ in ${fields.join(", ")}). Choose another id with --run`,
    { context: { id: config.id, fields } },
  );
}

function differingFields(a: unknown, b: unknown, path = ""): string[] {
  if (canonicalJson(a) === canonicalJson(b)) return [];
  if (!isRecord(a) || !isRecord(b)) return [path];
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return names.flatMap((name) =>
    differingFields(a[name] ?? null, b[name] ?? null, path === "" ? name : `${path}.${name}`),
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
