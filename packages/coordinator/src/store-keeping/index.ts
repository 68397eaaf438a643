export { collectGarbage } from "./collect-garbage.js";
export { garbageKinds } from "./garbage.js";
export type { GarbageKind, GarbageSum } from "./garbage.js";
export { cameWith, checkDependents, countRun, ownScores, removeRun, tunedBackbonesOf } from "./remove-run.js";
export { removeBackbone } from "./remove-backbone.js";
export type { StoredBackbone } from "./remove-backbone.js";
