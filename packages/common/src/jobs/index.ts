export { loadStage, loadStages } from "./load-stage.js";
export type { StageFunction } from "./load-stage.js";
export { barrierOf, lastBarrierOf, queueOf, stageTable, stages, stagesOf } from "./pipeline.js";
export type { GroupedStage, ManyStage, ShardStage, SubjectKind, SubjectTraits } from "./pipeline.js";
export { argumentsOf, singleJob, stageOfSingleJob, unitJob, unitOf } from "./queues.js";
export { stepProbe, stepProbeAnswer, stepProbeJob } from "./step-probe.js";
export type { StepProbe, StepProbeAnswer, StepTimes } from "./step-probe.js";
export { flowOf, isRootLive, mayStart, phaseOf } from "./run-rules.js";
export type { FlowStage, RunPhase } from "./run-rules.js";
