import {
  backboneKeys,
  bundleFiles,
  outputKeys,
  parseJsonAs,
  runConfig,
  runKeys,
  scoringConfig,
  scoringKeys,
  subjectKeys,
  TrommelError,
  type ObjectStore,
} from "@trommel/common";
import { foldNetworks, neededRunsOf, sortingConfig, tunedBackbone } from "@trommel/common/artefacts";
import { jsonBytes, parseSealedAs, putJson, unlessCorrupt } from "@trommel/common/codec";
import type { SubjectKind } from "@trommel/common/jobs";
import { locationOf, partInside, readIfThere } from "@trommel/common/store";
import { listSubjects } from "../run-control/list-subjects.js";
import { readResult } from "../run-control/result.js";
import type { GarbageSum } from "./garbage.js";

const keysAtOnce = 500;

export interface StoredRun {
  readonly kind: SubjectKind;
  readonly id: string;
}

/**
 * Finds the runs and scorings that depend on a run, and the sortings that depend on a scoring.
 * @returns ids of finished scorings by its bundle: their scores stay, and cannot be retried without it
 * @throws TrommelError `conflict` if an unfinished one depends on it
 */
export async function checkDependents(store: ObjectStore, { kind, id }: StoredRun): Promise<string[]> {
  if (kind === "sorting") return [];
  const finished: string[] = [];
  for (const other of await listSubjects(store)) {
    if (other.id === id) continue;
    const need = await needOf(store, other, id);
    if (need === "unfinished") {
      throw new TrommelError(
        "conflict",
        `cannot remove ${id}: ${other.id}, which needs it, is not complete. Let it end ('trommel resume ${other.id}') or remove it first`,
        { context: { id, dependent: other.id } },
      );
    }
    if (need === "finished" && other.kind === "scoring") finished.push(other.id);
  }
  return finished;
}

async function needOf(
  store: ObjectStore,
  other: StoredRun,
  id: string,
): Promise<"none" | "unfinished" | "finished"> {
  const key = subjectKeys(other).config;
  const body = await readIfThere(store, key);
  if (body === undefined) return "none";
  if (other.kind === "run") {
    const config = parseSealedAs(runConfig, body, key);
    const needed = [config.retryOf?.run, ...neededRunsOf(config), config.recipe.tune?.from];
    if (!needed.includes(id)) return "none";
    const result = await readResult(store, { kind: "run", id: other.id, config });
    return result === undefined ? "unfinished" : "finished";
  }
  if (other.kind === "sorting") {
    const sorting = parseSealedAs(sortingConfig, body, key);
    if (sorting.scoring !== id) return "none";
    const result = await readResult(store, { kind: "sorting", id: other.id, config: sorting });
    return result === undefined ? "unfinished" : "finished";
  }
  const config = parseSealedAs(scoringConfig, body, key);
  if (config.bundle.location !== locationOf(store.url, runKeys(id).bundle)) return "none";
  const result = await readResult(store, { kind: "scoring", id: other.id, config });
  return result === undefined ? "unfinished" : "finished";
}

/** The runs that came with one that tunes, those that are still there: each is removed by its own id. */
export async function cameWith(store: ObjectStore, { kind, id }: StoredRun): Promise<string[]> {
  if (kind !== "run") return [];
  const key = runKeys(id).config;
  const body = await readIfThere(store, key);
  // A configuration that cannot be read tells nothing of a run that is to be removed.
  const config = body === undefined ? undefined : unlessCorrupt(() => parseSealedAs(runConfig, body, key));
  // A fold's run needs what the others need too.
  if (config === undefined || config.foldOf !== undefined) return [];
  const there = new Set((await listSubjects(store)).map((subject) => subject.id));
  return neededRunsOf(config).filter((needed) => there.has(needed));
}

/**
 * The backbone that a run has tuned, or those that it took from the runs of its folds, as far as the store has them: they stay when the run
 * is removed, for other runs may use them.
 */
export async function tunedBackbonesOf(store: ObjectStore, { kind, id }: StoredRun): Promise<string[]> {
  if (kind !== "run") return [];
  const { backbone, networks } = runKeys(id).tuning;
  const own = await readIfThere(store, backbone);
  const taken = await readIfThere(store, networks);
  const tuned = [
    ...(own === undefined ? [] : [unlessCorrupt(() => parseJsonAs(tunedBackbone, own, backbone))]),
    ...(taken === undefined
      ? []
      : (unlessCorrupt(() => parseJsonAs(foldNetworks, taken, networks))?.backbones ?? [])),
  ];
  const there: string[] = [];
  for (const of of tuned)
    if (of !== undefined && (await store.head(backboneKeys(of.id).spec)) !== undefined) there.push(of.id);
  return there;
}

/**
 * The folder in the store of the scores that an evaluation had made.
 * @returns undefined for a run or sorting, and for a scoring whose scores are elsewhere
 */
export async function ownScores(store: ObjectStore, { kind, id }: StoredRun): Promise<string | undefined> {
  if (kind !== "scoring") return undefined;
  const key = scoringKeys(id).config;
  const body = await readIfThere(store, key);
  if (body === undefined) return undefined;
  // The scores of one that cannot be read are left to the garbage collection.
  const config = unlessCorrupt(() => parseSealedAs(scoringConfig, body, key));
  const inside = config === undefined ? undefined : partInside(store.url, config.output);
  return inside?.startsWith("evaluations/") === true ? inside : undefined;
}

/** What a removal would remove. Feature shards are left to the garbage collection. */
export async function countRun(store: ObjectStore, run: StoredRun): Promise<GarbageSum> {
  let objects = 0;
  let sizeBytes = 0;
  const scores = await ownScores(store, run);
  for (const root of [subjectKeys(run).root, ...(scores === undefined ? [] : [scores])]) {
    for await (const object of store.list(`${root}/`)) {
      objects += 1;
      sizeBytes += object.sizeBytes;
    }
  }
  return { objects, sizeBytes };
}

/**
 * Removes a run, scoring or sorting from the store; sorted images, scores, exported bundles and features stay where they are, but for scores that an
 * evaluation had made.
 *
 * It is cancelled first, so that no worker works on it any more, and its configuration is removed last: until then the same
 * command continues an interrupted removal. Markers are removed before their data.
 */
export async function removeRun(store: ObjectStore, run: StoredRun): Promise<void> {
  const { root, config, cancelled } = subjectKeys(run);
  const mark = jsonBytes({ formatVersion: 1, id: run.id });
  await putJson(store, cancelled, mark);
  if (run.kind === "run") await store.delete([`${runKeys(run.id).bundle}/${bundleFiles.manifest}`]);
  const scores = await ownScores(store, run);
  if (scores !== undefined) {
    await store.delete([`${scores}/${outputKeys.success}`]);
    await deleteWhere(store, scores, () => true);
  }
  const isLast = (key: string): boolean => key === config || key === cancelled;
  await deleteWhere(store, root, (key) => /\.\w+\.json$/.test(key) && !isLast(key));
  await deleteWhere(store, root, (key) => !isLast(key));
  await store.delete([cancelled]);
  await store.delete([config]);
}

async function deleteWhere(
  store: ObjectStore,
  root: string,
  isWanted: (key: string) => boolean,
): Promise<void> {
  let waiting: string[] = [];
  for await (const { key } of store.list(`${root}/`)) {
    if (!isWanted(key)) continue;
    waiting.push(key);
    if (waiting.length < keysAtOnce) continue;
    await store.delete(waiting);
    waiting = [];
  }
  await store.delete(waiting);
}
