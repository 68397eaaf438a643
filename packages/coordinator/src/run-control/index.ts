export { findCluster, forgetCluster, noteCluster } from "./cluster-note.js";
export { readFailedImages } from "./failed-images.js";
export type { FailedImages } from "./failed-images.js";
export { JobProducer } from "./job-producer.js";
export { listSubjects } from "./list-subjects.js";
export { cancelSubject, findSubject, readResultOrFault, readStatus, startAttempt } from "./run-state.js";
export type { RunResult, RunStatus, Subject } from "./run-state.js";
