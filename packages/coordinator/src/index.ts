export { startCoordinator } from "./coordinator.js";
export type { Coordinator } from "./coordinator.js";
