import {
  backboneId,
  checkRunId,
  featureFingerprint,
  runConfig,
  runKeys,
  sha256Hex,
  TrommelError,
  type LabelTable,
  type ObjectStore,
  type Recipe,
  type RunConfig,
} from "@trommel/common";
import { runConfigWithoutRepeats, type DivisionTable } from "@trommel/common/artefacts";
import { jsonBytes, parseSealedAs, putJsonOnce } from "@trommel/common/codec";
import { checkClassWeights, groupColumn, isAuto, testByColumn } from "@trommel/common/recipe";
import { partInside, readBounds } from "@trommel/common/store";
import { labelsConfig, resolveLabels } from "../labels/resolve-labels.js";
import { checkClasses } from "../plan/split/check-classes.js";
import { locateFiles } from "../recipes/locate-files.js";
import { resolveSource, type AskedArchives, type AskedManifest } from "./resolve-source.js";
import { checkConfig, writeConfig, type Resolved } from "./config-file.js";
import { defaultRunId } from "./default-run-id.js";
import { resolveBackbones } from "./resolve-backbones.js";
import { checkTuning, companionConfigs } from "./resolve-tuning.js";
import { checkExport, resolveExport, takeExport } from "./resolve-export.js";

/**
 * Resolves a request into a frozen run, `run.json`, its labels, `labels.json`, and what lists and columns say of its
 * split, `division.json`.
 * The same request under the same id is the same run; another one is refused. A run that tunes comes with the runs that it needs.
 * @throws TrommelError `not-found` for a backbone or a label file, `invalid-argument` for a backbone that does not fit,
 *   `bad-dataset` for the labels, `conflict` for the id or the output
 */
export async function resolveRun(options: {
  readonly store: ObjectStore;
  /** By default it comes from the rest. */
  readonly id: string | undefined;
  /** A prefix; undefined for a manifest of whole locations. */
  readonly dataset: string | undefined;
  readonly manifest?: AskedManifest | undefined;
  readonly archives?: AskedArchives | undefined;
  readonly recipe: Recipe;
  /** The location that the bundle is copied to, besides the store. */
  readonly output: string | undefined;
}): Promise<Resolved<RunConfig>> {
  const { store } = options;
  const written = options.recipe;
  const id = options.id === undefined ? undefined : checkRunId(options.id);
  const place = await resolveSource(
    { prefix: options.dataset, manifest: options.manifest, archives: options.archives },
    { labels: true, others: columnsOfSplit(written) },
  );
  const { location: dataset, from } = place;
  if (from === undefined) refuseStoreInside(dataset, store.url);
  const output = resolveExport({ output: options.output, dataset, storeUrl: store.url });
  const specs = await resolveBackbones(store, written);
  const resolved = await resolveLabels(place, written);
  if (resolved.table !== null) checkTableClasses(resolved.table, written);
  if (resolved.classes !== null) checkClassWeights(written, resolved.classes);
  const recipe = locateFiles(written);
  const inputSizes = specs.map((spec) => spec.inputSize);
  const side = recipe.decode.side === "auto" ? Math.max(...inputSizes) : recipe.decode.side;
  const { division } = resolved;
  const request = {
    ...{ dataset, recipe, labels: labelsConfig(resolved), export: output },
    ...(from === undefined ? {} : { from }),
    ...(division === null ? {} : { divisionSha256: sha256Hex(jsonBytes(division)) }),
  };
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
  await checkTuning(store, config, specs);
  // A run that tunes is claimed after the runs that it needs.
  const configs = [...companionConfigs(config), config];
  for (const each of configs) await checkConfig(store, runKeys(each.id).config, each, parserOf(each));
  await checkExport(config);
  const claim = async (): Promise<void> => {
    await takeExport(config);
    for (const each of configs) {
      await writeFrozen(store, each, "labels", resolved.table, config.labels.tableSha256);
      await writeFrozen(store, each, "division", division, config.divisionSha256);
      await writeConfig(store, runKeys(each.id).config, each, parserOf(each));
    }
  };
  return { config, claim };
}

/** How the stored configuration of a run is read, to be compared with this one. */
function parserOf({ id, recipe: { head } }: RunConfig): (body: Uint8Array) => RunConfig {
  const schema = head.type === "auto" && head.repeats === null ? runConfigWithoutRepeats : runConfig;
  return (body) => parseSealedAs(schema, body, runKeys(id).config);
}

/** The columns that a manifest has to have because the recipe divides by them; a table of labels has them itself. */
function columnsOfSplit({ labels, split }: Recipe): string[] {
  if (labels.source.type !== "folders") return [];
  return [testByColumn(split)?.column, groupColumn(split)].flatMap((name) => name ?? []);
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
function checkTableClasses({ labels }: LabelTable, recipe: Pick<Recipe, "head">): void {
  const counts = new Map<string, number>();
  for (const [, label] of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  checkClasses([...counts.keys()], [...counts.values()], { isFolded: isAuto(recipe) });
}

/**
 * Writes what was read from files into the run, so that workers and later attempts use the same.
 * @throws TrommelError `conflict` if the run's id has other labels, or is divided otherwise
 */
async function writeFrozen(
  store: ObjectStore,
  { id }: RunConfig,
  what: "labels" | "division",
  content: LabelTable | DivisionTable | null,
  sha256: string | null | undefined,
): Promise<void> {
  if (content === null) return;
  const key = runKeys(id)[what];
  if ((await putJsonOnce(store, key, jsonBytes(content))) === "written") return;
  if (sha256Hex(await store.get(key, readBounds.dataset)) === sha256) return;
  const other = what === "labels" ? "other labels" : "another test part or other groups";
  throw new TrommelError(
    "conflict",
    `cannot use the id ${id}: it already has ${other} (${key}). Choose another id with --run, or remove the old one ('trommel store remove ${id}')`,
    { context: { id, key } },
  );
}
