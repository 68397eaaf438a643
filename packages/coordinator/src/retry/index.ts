export { resolveRunRetry } from "./resolve-retry.js";
export { findRunConfig, lastOfChain, readTried } from "./retry-chain.js";
export { checkScoringRetry, countRetried, requestScoringRetry } from "./retry-scoring.js";
