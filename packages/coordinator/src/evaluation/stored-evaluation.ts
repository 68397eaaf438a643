import {
  canonicalJson,
  evaluationKeys,
  openStore,
  parseJsonAs,
  readWithMarker,
  sha256Hex,
  type LabelTable,
  type ObjectStore,
} from "@trommel/common";
import { evaluationFiles, modelEvaluation, type ModelEvaluation } from "@trommel/common/artefacts";
import { findCommitted, jsonBytes, putJson } from "@trommel/common/codec";
import type { FinishedScores } from "./finished-scores.js";

/** What decides an evaluation. */
export interface EvaluationQuestion {
  readonly first: FinishedScores;
  readonly second: FinishedScores | undefined;
  /** sha256 of the listing that was scored for it; without one, of the scores. */
  readonly listing: string | undefined;
  /** Null where folders label. */
  readonly table: LabelTable | null;
  /** Labels without an image. */
  readonly unmatched: number;
}

/** The folder in the store of an evaluation: the same question has the same folder. */
export function evaluationFolder({ first, second, listing, table, unmatched }: EvaluationQuestion): string {
  const { modelSha256 } = first.scores.model;
  const question = canonicalJson({
    formatVersion: 1,
    scores: first.digest,
    labels: table === null ? null : sha256Hex(canonicalJson(table)),
    unmatched,
    compared: second === undefined ? null : [second.scores.model.modelSha256, second.digest],
  });
  return evaluationKeys(modelSha256, listing ?? first.digest).evaluation(sha256Hex(question));
}

/** An evaluation that is whole; undefined if it has to be made. */
export async function findEvaluation(
  store: ObjectStore,
  folder: string,
): Promise<ModelEvaluation | undefined> {
  const key = `${folder}/${evaluationFiles.evaluation}`;
  if ((await findCommitted(store, key)) === undefined) return undefined;
  for (const name of [evaluationFiles.rows, evaluationFiles.report])
    if ((await store.head(`${folder}/${name}`)) === undefined) return undefined;
  return parseJsonAs(modelEvaluation, (await readWithMarker(store, key)).bytes, key);
}

/** Writes the labels where the worker's part of an evaluation reads them. */
export async function writeEvaluationLabels(
  store: ObjectStore,
  folder: string,
  table: LabelTable | null,
): Promise<void> {
  if (table !== null) await putJson(store, `${folder}/${evaluationFiles.labels}`, jsonBytes(table));
}

/** Copies an evaluation's files to a place of the user's. @param output its location */
export async function exportEvaluation(store: ObjectStore, folder: string, output: string): Promise<void> {
  const to = openStore(output);
  try {
    for (const name of [evaluationFiles.rows, evaluationFiles.report, evaluationFiles.evaluation])
      await to.put(name, await store.get(`${folder}/${name}`));
  } finally {
    to.close();
  }
}
