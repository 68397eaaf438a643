/** Imports go one way: trommel -> coordinator -> common <- gpu-worker, and inside the worker main -> worker -> stages -> the rest. */
const inner = "image|graph|backbone|linalg|measure|head|report";
// Another package is reached by its name, which resolves to what its sources are compiled to.
const source = "(src|dist)";
module.exports = {
  forbidden: [
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    // An import that cannot be followed would pass every rule below.
    { name: "every-import-leads-somewhere", severity: "error", from: {}, to: { couldNotResolve: true } },
    {
      name: "common-imports-nobody",
      severity: "error",
      from: { path: "^packages/common/src" },
      to: { path: "^packages/(coordinator|gpu-worker|trommel)/" },
    },
    {
      name: "coordinator-has-no-ml-runtime",
      severity: "error",
      from: { path: "^packages/coordinator/src" },
      to: { path: "^packages/(gpu-worker|trommel)/|node_modules/(onnxruntime-node|@tensorflow|sharp)/" },
    },
    {
      name: "worker-does-not-import-coordinator",
      severity: "error",
      from: { path: "^packages/gpu-worker/src" },
      to: { path: "^packages/(coordinator|trommel)/" },
    },
    {
      name: "stages-are-the-only-callers-downwards",
      severity: "error",
      from: { path: `^packages/gpu-worker/src/(${inner})/` },
      to: { path: `^packages/gpu-worker/${source}/(stages|threads|worker|commands|main)\\b` },
    },
    {
      name: "a-stage-imports-no-other-stage",
      severity: "error",
      from: { path: "^packages/gpu-worker/src/stages/" },
      to: {
        path: `^packages/gpu-worker/${source}/stages/[^/]+$`,
        pathNot: `^packages/gpu-worker/${source}/stages/context\\.`,
      },
    },
    {
      name: "stages-import-neither-queues-nor-threads",
      severity: "error",
      from: { path: "^packages/gpu-worker/src/stages/" },
      to: { path: `^packages/gpu-worker/${source}/(threads|worker|commands|main)\\b` },
    },
    {
      name: "calls-to-threads-and-processes-know-nothing-of-the-worker",
      severity: "error",
      from: { path: "^packages/gpu-worker/src/rpc/" },
      to: { path: `^packages/gpu-worker/${source}/`, pathNot: `^packages/gpu-worker/${source}/rpc/` },
    },
    {
      name: "backbone-and-linalg-import-only-graph",
      severity: "error",
      from: { path: "^packages/gpu-worker/src/(backbone|linalg)/" },
      to: {
        path: `^packages/gpu-worker/${source}/(${inner})/`,
        pathNot: `^packages/gpu-worker/${source}/($1|graph)/`,
      },
    },
    {
      name: "measure-imports-only-graph-and-linalg",
      severity: "error",
      from: { path: "^packages/gpu-worker/src/measure/" },
      to: {
        path: `^packages/gpu-worker/${source}/(${inner})/`,
        pathNot: `^packages/gpu-worker/${source}/(measure|graph|linalg)/`,
      },
    },
    {
      name: "head-imports-only-graph-and-measure",
      severity: "error",
      from: { path: "^packages/gpu-worker/src/head/" },
      to: {
        path: `^packages/gpu-worker/${source}/(${inner})/`,
        pathNot: `^packages/gpu-worker/${source}/(head|graph|measure)/`,
      },
    },
    {
      name: "image-graph-and-report-import-no-sibling",
      severity: "error",
      from: { path: "^packages/gpu-worker/src/(image|graph|report)/" },
      to: {
        path: `^packages/gpu-worker/${source}/(${inner})/`,
        pathNot: `^packages/gpu-worker/${source}/$1/`,
      },
    },
    {
      name: "onnx-runtime-is-imported-without-telemetry",
      severity: "error",
      from: {
        path: "^packages/gpu-worker/src",
        pathNot: "^packages/gpu-worker/src/graph/onnx/onnx-runtime\\.ts$",
      },
      to: { path: "node_modules/onnxruntime-node/", dependencyTypesNot: ["type-only"] },
    },
    {
      name: "cli-uses-only-the-public-api",
      from: { path: "^packages/trommel/src/cli(/|\\.ts$)" },
      severity: "error",
      to: {
        pathNot: "^packages/trommel/src/(index\\.ts$|cli/)|node_modules/(@types/)?(commander|cli-progress)/",
        dependencyTypesNot: ["core"],
      },
    },
    {
      name: "packages-do-not-import-tests",
      severity: "error",
      from: { path: "^packages/" },
      to: { path: "^test/" },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.base.json" },
    doNotFollow: { path: "node_modules|^packages/[^/]+/dist/" },
    exclude: { path: "^test/dist/" },
    enhancedResolveOptions: {
      conditionNames: ["import", "types", "node", "default"],
      exportsFields: ["exports"],
    },
  },
};
