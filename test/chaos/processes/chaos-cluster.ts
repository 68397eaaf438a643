import { join } from "node:path";
import { openStore, ReleaseStack } from "@trommel/common";
import { trommelJson } from "../../support/process/cli.js";
import { badFiles, drawDataset, drawUnlabelled } from "../../support/images/dataset.js";
import { tinyBackbone, writeTinyBackbone } from "../../support/models/tiny-backbone.js";
import { withVariables } from "../../support/process/variables.js";
import { CommitLog } from "../commit-log.js";
import { ChangingSource } from "./changing-source.js";
import { FaultProxy } from "../faults/fault-proxy.js";
import { RedisProcess } from "./redis-process.js";
import { startS3Process } from "./s3-server-process.js";
import { SupervisedProcess } from "./supervised-process.js";
import { TakeOvers } from "../faults/take-overs.js";

export const storeUrl = "s3://store";
export const clusterSize = { workers: 3, coordinators: 2 } as const;

const labels = ["Zebra", "apple", "中文"];
const perClass = 56;
const unlabelledCount = 96;

/** What lies under s3://pictures. */
interface Pictures {
  /** Keys that a training must account for. */
  readonly labelled: readonly string[];
  /** What is scored. */
  readonly source: ChangingSource;
}

/** A whole cluster of real processes; every one of its words with the object store goes through the proxy. */
export interface ChaosCluster {
  readonly proxy: FaultProxy;
  readonly redis: RedisProcess;
  readonly workers: readonly SupervisedProcess[];
  readonly coordinators: readonly SupervisedProcess[];
  readonly takeOvers: TakeOvers;
  readonly commits: CommitLog;
  readonly pictures: Pictures;
  /** For commands of this cluster. */
  readonly env: Readonly<Record<string, string>>;
  /** @returns what could not be released */
  stop(): Promise<string[]>;
}

/** @param folder for what the processes write; this process's own S3 variables lead past the proxy from now on */
export async function startChaosCluster(folder: string): Promise<ChaosCluster> {
  const releases = new ReleaseStack();
  try {
    const s3 = await startS3Process(["pictures", "store", "scores"]);
    releases.add("s3", () => s3.stop());
    releases.add("variables", withVariables(s3.env));
    const commits = new CommitLog();
    const proxy = await FaultProxy.start(s3.env["AWS_ENDPOINT_URL_S3"] ?? "", (request) =>
      commits.note(request),
    );
    releases.add("proxy", () => proxy.stop());
    const redis = await RedisProcess.start(folder);
    releases.add("redis", () => redis.kill());
    const pictures = await uploadPictures();
    const model = await writeTinyBackbone(join(folder, "tiny"));
    const args = ["backbone", "import", model, "--name", tinyBackbone.name, "--store", storeUrl];
    await trommelJson(args, { env: s3.env });
    const env = {
      ...s3.env,
      AWS_ENDPOINT_URL_S3: proxy.endpoint,
      TROMMEL_STORE: storeUrl,
      TROMMEL_REDIS_URL: redis.url,
    };
    const start = (what: string, number: number, ...flags: string[]): SupervisedProcess => {
      const process = new SupervisedProcess(`${what}-${number}`, [what, ...flags], { env, folder });
      releases.add(process.name, () => process.stop());
      return process;
    };
    const numbers = (count: number): number[] => Array.from({ length: count }, (_, number) => number);
    const coordinators = numbers(clusterSize.coordinators).map((n) => start("coordinator", n));
    const workers = numbers(clusterSize.workers).map((n) => start("worker", n, "--threads", "1"));
    const takeOvers = new TakeOvers(redis);
    releases.add("take-overs", () => takeOvers.close());
    return {
      ...{ proxy, redis, workers, coordinators, takeOvers, commits, pictures, env },
      stop: () => releases.releaseAll(),
    };
  } catch (thrown) {
    await releases.releaseAll();
    throw thrown;
  }
}

/** Small pictures, and in each prefix a few files that are none. */
async function uploadPictures(): Promise<Pictures> {
  const bucket = openStore("s3://pictures");
  const bad = [...(await badFiles())];
  const labelled = new Map(await drawDataset(labels, { to: perClass }));
  for (const [index, [name, { bytes }]] of bad.entries())
    labelled.set(`${labels[index % labels.length]}/${name}`, bytes);
  const { files: unlabelled } = await drawUnlabelled(labels, unlabelledCount, 8);
  for (const [name, { bytes }] of bad) unlabelled.set(`in/${name}`, bytes);
  for (const [key, bytes] of labelled) await bucket.put(`labelled/${key}`, bytes);
  for (const [key, bytes] of unlabelled) await bucket.put(`unlabelled/${key}`, bytes);
  bucket.close();
  return {
    labelled: [...labelled.keys()],
    source: new ChangingSource("s3://pictures/unlabelled", unlabelled),
  };
}
