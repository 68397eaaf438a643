export { awaitRedis } from "./await-redis.js";
export { concludeFailure } from "./conclude-failure.js";
export { claimFeature, releaseFeature } from "./feature-claim.js";
export type { FeatureClaim } from "./feature-claim.js";
export { isQueued } from "./job-lock.js";
export { checkRedis, connectRedis, describeRedis } from "./redis-connection.js";
export { ShardTrial } from "./shard-trial.js";
export type { BlameReason } from "./shard-trial.js";
export { tooManyDeaths, treatmentAfter, triesPerFile } from "./worker-deaths.js";
