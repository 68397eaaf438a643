import { openStore, runKeys } from "@trommel/common";
import { tinyBackbone } from "../support/models/tiny-backbone.js";
import { hashArtefacts, removeArtefacts, type RoundNames } from "./artefacts.js";
import { finish, type CommandSlot, type GivenUp } from "./commands.js";
import { storeUrl, type ChaosCluster } from "./processes/chaos-cluster.js";
import { countFeatureRows, countScoreRows, type RowCount } from "./row-count.js";

/**
 * What a round does: a training, a scoring with what it made, and a second generation of that scoring after its source has
 * changed; or a training that tunes its backbone.
 */
export type RoundKind = "scored" | "tuned";

export interface RoundResult {
  readonly givenUp: readonly GivenUp[];
  readonly artefacts: ReadonlyMap<string, string>;
  readonly lost: readonly string[];
  readonly doubled: readonly string[];
}

const trainFlags: Readonly<Record<RoundKind, readonly string[]>> = {
  scored: [
    ...["--shard-size", "4", "--views", "4", "--head", "se", "--epochs", "8", "--step", "8"],
    ...["--validation", "0.2"],
  ],
  tuned: [
    ...["--shard-size", "16", "--views", "2", "--effort", "quick", "--set", "head.learningCurve=false"],
    ...["--tune", "--set", "tune.batchSize=8", "--set", "tune.epochs=2"],
    ...["--set", "tune.replicas=2", "--set", "tune.localSteps=2"],
  ],
};

/**
 * Each command of a round is given again until it is done; a training every other time as `trommel resume`.
 * @throws DidNotEnd
 */
export async function finishRound(
  kind: RoundKind,
  names: RoundNames,
  slot: CommandSlot,
  { pictures: { source } }: ChaosCluster,
): Promise<GivenUp[]> {
  const train = ["train", "s3://pictures/labelled", "--run", names.run, "--backbone", tinyBackbone.name];
  slot.run = names.run;
  const training = await finish(slot, async (turn) =>
    turn % 2 === 1 && (await isClaimed(names.run)) ? ["resume", names.run] : [...train, ...trainFlags[kind]],
  );
  slot.run = undefined;
  if (kind === "tuned") return training;
  const score = [
    ...["score", "s3://pictures/unlabelled", "--model", names.run, "--output", names.output],
    ...["--shard-size", "3", "--format", "csv"],
  ];
  const first = await finish(slot, () => score);
  await source.change();
  return [...training, ...first, ...(await finish(slot, () => score))];
}

/** Whether the run has its configuration, without which there is nothing to resume. */
async function isClaimed(run: string): Promise<boolean> {
  const store = openStore(storeUrl);
  try {
    return (await store.head(runKeys(run).config)) !== undefined;
  } finally {
    store.close();
  }
}

/** Looks at what a finished round left, past the proxy. */
export async function checkRound(
  kind: RoundKind,
  names: RoundNames,
  { pictures: { labelled, source } }: ChaosCluster,
): Promise<Omit<RoundResult, "givenUp">> {
  const store = openStore(storeUrl);
  try {
    const counts: RowCount[] = [await countFeatureRows(store, names.run, labelled)];
    if (kind === "scored") counts.push(await countScoreRows(names.output, source.changedKeys));
    return {
      artefacts: await hashArtefacts(storeUrl, names),
      lost: counts.flatMap(({ lost }) => lost),
      doubled: counts.flatMap(({ doubled }) => doubled),
    };
  } finally {
    store.close();
  }
}

/** Between rounds: workers that may still hold a shard of the last one end first, for the store is emptied under them. */
export async function clearRound(names: RoundNames, cluster: ChaosCluster): Promise<string[]> {
  const drainMs = 45_000;
  const drained = await Promise.all(
    cluster.workers.map(async (worker) => ((await worker.drain(drainMs)) ? [] : [worker.name])),
  );
  await removeArtefacts(storeUrl, names);
  await cluster.pictures.source.restore();
  cluster.commits.forget();
  for (const worker of cluster.workers) worker.release();
  return drained.flat();
}
