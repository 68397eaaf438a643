export { ClusterMetrics, outcomeOf } from "./cluster-metrics.js";
export { serveMetrics } from "./metrics-server.js";
export type { MetricsServer } from "./metrics-server.js";
