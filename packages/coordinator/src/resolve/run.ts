import {
  backboneId,
  checkRunId,
  featureFingerprint,
  resolveLocation,
  runConfig,
  runKeys,
  sha256Hex,
  TrommelError,
  type LabelTable,
  type ObjectStore,
  type Recipe,
  type RunConfig,
} from "@trommel/common";
import { jsonBytes, parseSealedAs, putJsonOnce } from "@trommel/common/codec";
import { partInside, readBounds } from "@trommel/common/store";
import { labelsConfig, locateLabels, resolveLabels } from "../labels/resolve-labels.js";
import { checkClasses } from "../plan/split/choose-split.js";
import { checkPrefix } from "./check-prefix.js";
import { checkConfig, writeConfig, type Resolved } from "./config-file.js";
import { defaultRunId } from "./default-run-id.js";
import { resolveBackbones } from "./resolve-backbones.js";
import { checkExport, resolveExport, takeExport } from "./resolve-export.js";

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

/** Artefacts under the dataset would be listed as images of a class; hidden folders such as .trommel are not. */
function refuseStoreInside(dataset: string, store: string): void {
  const inside = partInside(dataset, store);
  if (inside === undefined || inside.startsWith(".")) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot train on ${dataset}: the store ${store} is inside it and would be taken for a class. Choose a --store outside it`,
  );
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
    `cannot use the id ${config.id}: it already has other labels (${key}). Choose another id with --run, or remove the old one ('trommel store remove ${config.id}')`,
    { context: { id: config.id, key } },
  );
}
