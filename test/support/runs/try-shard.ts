import { recipe } from "@trommel/common";
import { ShardTrial } from "#common/jobs/shard-trial";
import type { DeviceStageContext } from "#gpu-worker/stages/context";
import { runBatches } from "#gpu-worker/stages/images/run-batches";
import { SourceStores } from "#gpu-worker/stages/images/source-stores";
import { Redis } from "ioredis";
import { shardEntries } from "./shard-entries.js";

/**
 * A process like a worker that has a shard after another worker died of it, and nothing else. It prints what failed, as
 * one line of JSON. Arguments: the URL of Redis, and the folder with the shard's files.
 */
const [url = "", source = ""] = process.argv.slice(2);
const redis = new Redis(url);
const nothing = (): void => undefined;
const context: Pick<DeviceStageContext, "trial" | "signal" | "onImages"> = {
  trial: new ShardTrial(redis, { id: "test", attempt: 1, stage: "score", shard: 0 }),
  signal: new AbortController().signal,
  onImages: nothing,
};
const failed = await runBatches({
  entries: await shardEntries(source),
  source,
  decode: { ...recipe.parse({ backbones: ["any"] }).decode, side: 16 },
  batchSize: 4,
  context: {
    ...context,
    device: { sessionCount: 1 },
    sources: new SourceStores(),
  } as unknown as DeviceStageContext,
  run: () => Promise.resolve(),
});
process.stdout.write(`${JSON.stringify(failed)}\n`);
redis.disconnect();
