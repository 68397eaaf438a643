import {
  decodeNovelty,
  encodeNovelty,
  runKeys,
  TrommelError,
  writeWithMarker,
  type HeadWeights,
  type Novelty,
  type RunConfig,
} from "@trommel/common";
import {
  decodeFoldResult,
  foldRunsOf,
  networkRunsOf,
  testPart,
  type FoldSplit,
} from "@trommel/common/artefacts";
import { findCommitted, readInput } from "@trommel/common/codec";
import type { AutoHead } from "@trommel/common/recipe";
import { decodeEnsemble, encodeEnsemble, type Ensemble } from "../../head/model/ensemble.js";
import type { StageContext } from "../context.js";
import { commitOnce } from "../inputs/commit-once.js";
import type { Chosen } from "./estimates.js";
import { fitRunNovelty } from "./fit-run-novelty.js";
import type { FoldRows } from "./fold-rows.js";
import { foldJobsOf } from "./out-of-fold.js";
import { trainCandidate } from "./train-candidate.js";

export interface ChosenRun {
  readonly config: RunConfig;
  readonly head: AutoHead;
  readonly split: FoldSplit;
  readonly rows: FoldRows;
  readonly chosen: Chosen;
  readonly context: StageContext;
}

/** The heads of the bundle. Those that another worker has committed stay. */
export async function commitEnsemble(run: ChosenRun): Promise<Ensemble> {
  const { config, chosen, context } = run;
  const key = runKeys(config.id).ensemble;
  const { head } = chosen.candidate;
  if ((await findCommitted(context.store, key)) === undefined) {
    const heads = servedHeads(run) === "refit" ? [await refit(run)] : await readHeads(run);
    const bytes = encodeEnsemble({
      ...{ head, heads, temperature: chosen.temperature },
      ownNetworks: networkRunsOf(config).length > 0,
    });
    await commitOnce(() => writeWithMarker(context.store, key, bytes));
  }
  return decodeEnsemble((await readInput(context.store, key)).bytes, key, head);
}

/** Which heads the bundle holds. Those of the folds fit the networks of the folds, and no other. */
export function servedHeads({ config, head }: Pick<ChosenRun, "config" | "head">): AutoHead["heads"] {
  if (networkRunsOf(config).length > 0) return "folds";
  return foldRunsOf(config).length > 0 ? "refit" : head.heads;
}

/** The statistics of novelty. Those that another worker has committed stay. */
export async function commitNovelty(run: Omit<ChosenRun, "chosen">): Promise<Novelty> {
  const { config, head, split, rows, context } = run;
  const key = runKeys(config.id).novelty;
  if ((await findCommitted(context.store, key)) === undefined) {
    context.onNote("measuring how novel images are");
    const { novelty } = await fitRunNovelty({ config, split, rows }, head.rowsAtMost, context);
    await commitOnce(() => writeWithMarker(context.store, key, encodeNovelty(novelty)));
  }
  return decodeNovelty((await readInput(context.store, key)).bytes, key);
}

/** In the order of the folds. */
async function readHeads({ config, head, split, chosen, context }: ChosenRun): Promise<HeadWeights[]> {
  const heads: HeadWeights[] = [];
  for (const { run, job } of foldJobsOf(config, head, split, chosen.at.candidate).flat()) {
    const key = runKeys(run).fold(job);
    const found = decodeFoldResult((await readInput(context.store, key)).bytes, key).heads[chosen.at.variant];
    if (found !== undefined) heads.push(found);
  }
  return heads;
}

/** One head, trained on every image but those of the test part. */
async function refit({ config, head, rows, chosen, context }: ChosenRun): Promise<HeadWeights> {
  context.onNote("training the chosen head on all images");
  const train = await rows.collect(({ part }) => part !== testPart, head.rowsAtMost);
  const heads = await trainCandidate(chosen.candidate, {
    train,
    config,
    repeat: 0,
    labels: rows.labels,
    context,
  });
  const found = heads[chosen.at.variant];
  if (found === undefined)
    throw new TrommelError("internal", `cannot train ${config.id} again: there is no such head`);
  return found;
}
