export { startCoordinator } from "./coordinator.js";
export type { Coordinator } from "./coordinator.js";
export { defaultOutstandingShards } from "./outstanding-shards.js";
